package split

import "encoding/binary"

// The field GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1 and the generator 2.
var exp, log = tables()

func tables() (exp [510]byte, log [256]int) {
	x := 1
	for i := range 255 {
		exp[i], exp[i+255] = byte(x), byte(x)
		log[x] = i
		if x <<= 1; x > 255 {
			x ^= 0x11d
		}
	}
	return exp, log
}

func mul(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return exp[log[a]+log[b]]
}

func inverse(a byte) byte { return exp[255-log[a]] }

// cauchy is the factor of part j in parity i, of a bundle with so many parts.
func cauchy(parts, i, j int) byte { return inverse(byte(parts+i) ^ byte(j)) }

// addMul adds c times src to dst, which is as long at least.
func addMul(dst, src []byte, c byte) {
	switch c {
	case 0:
		return
	case 1:
		for ; len(src) >= 8; dst, src = dst[8:], src[8:] {
			binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(dst)^binary.LittleEndian.Uint64(src))
		}
		for i, b := range src {
			dst[i] ^= b
		}
		return
	}
	var table [256]byte
	for i := range table {
		table[i] = mul(c, byte(i))
	}
	dst = dst[:len(src)]
	for i, b := range src {
		dst[i] ^= table[b]
	}
}

// solve returns by what the parity of rows and all parts that are there must be multiplied, so that their sum is the part lost[0]. There are
// as many rows as lost parts. Factors of lost parts are 0.
func solve(parts int, lost, rows []int) (ofParity, ofParts []byte) {
	n := len(lost)
	m := make([][]byte, n) // the factors of the lost parts, and beside them the unit matrix, which becomes their inverse
	for r, i := range rows {
		m[r] = make([]byte, 2*n)
		for c, j := range lost {
			m[r][c] = cauchy(parts, i, j)
		}
		m[r][n+r] = 1
	}
	for c := range n {
		pivot := c
		for m[pivot][c] == 0 { // a Cauchy matrix has an inverse
			pivot++
		}
		m[c], m[pivot] = m[pivot], m[c]
		scale := inverse(m[c][c])
		for k := range m[c] {
			m[c][k] = mul(m[c][k], scale)
		}
		for r := range n {
			if r == c {
				continue
			}
			factor := m[r][c]
			for k := range m[r] {
				m[r][k] ^= mul(factor, m[c][k])
			}
		}
	}
	ofParity, ofParts = m[0][n:], make([]byte, parts)
	for r, i := range rows {
		for j := range ofParts {
			ofParts[j] ^= mul(ofParity[r], cauchy(parts, i, j))
		}
	}
	for _, j := range lost {
		ofParts[j] = 0
	}
	return ofParity, ofParts
}
