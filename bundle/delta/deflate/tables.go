package deflate

import "math/bits"

var (
	lengthExtra = []uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	lengthBase  [29]uint8  // by length code: its shortest length less minMatch
	lengthCode  [256]uint8 // by length less minMatch

	distanceExtra = []uint8{
		0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
	}
	distanceBase [distancesSize]uint16 // by distance code: its shortest distance less 1

	fixedLiterals, fixedDistances [codesSize]code

	literalCodes = alphabet{
		size: literalsSize, longest: 15, extra: lengthExtra, extraFrom: firstLength, fixed: &fixedLiterals, fixedCodes: true,
	}
	distanceCodes = alphabet{size: distancesSize, longest: 15, extra: distanceExtra, fixed: &fixedDistances, fixedCodes: true}
	lengthCodes   = alphabet{size: lengthsSize, longest: 7, extra: []uint8{16: 2, 17: 3, 18: 7}}
)

func init() {
	n := 0
	for c, extra := range lengthExtra[:28] {
		lengthBase[c] = uint8(n)
		for range 1 << extra {
			lengthCode[n] = uint8(c)
			n++
		}
	}
	// The greatest length has a code of its own.
	lengthBase[28], lengthCode[255] = 255, 28
	n = 0
	for c, extra := range distanceExtra {
		distanceBase[c] = uint16(n)
		n += 1 << extra
	}
	fixed := &tree{last: codesSize - 1}
	var count [16]int
	for s := range codesSize {
		l := 8
		switch {
		case s >= 144 && s < 256:
			l = 9
		case s >= 256 && s < 280:
			l = 7
		}
		fixed.length[s] = uint8(l)
		count[l]++
	}
	fixed.number(&count)
	fixedLiterals = fixed.codes
	for s := range distancesSize {
		fixedDistances[s] = code{bits.Reverse16(uint16(s)) >> 11, 5}
	}
}

// distanceCode returns the code of a distance from 1 on.
func distanceCode(distance int) int {
	d := uint(distance - 1)
	if d < 4 {
		return int(d)
	}
	n := uint(bits.Len(d)) - 2
	return int(2*n + 2 + d>>n&1)
}
