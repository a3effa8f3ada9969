package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSize reads an amount such as "20 GB" or "500MB" (powers of ten) as bytes.
func ParseSize(s string) (int64, error) {
	for suffix, factor := range map[string]float64{"MB": 1e6, "GB": 1e9, "TB": 1e12} {
		if n, ok := amount(s, suffix, factor, 1e18); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%.80q is no amount of space: write it like \"20 GB\"", s)
}

// ParseRate reads a speed such as "64 kB/s", "1.5 MB/s" or "512 kbit/s" (powers of ten) as bytes in a second, 1000 at least.
func ParseRate(s string) (int64, error) {
	for suffix, factor := range map[string]float64{"KB/S": 1e3, "MB/S": 1e6, "KBIT/S": 1e3 / 8, "MBIT/S": 1e6 / 8} {
		if n, ok := amount(s, suffix, factor, 1e12); ok && n >= 1000 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%.80q is no speed: write it like \"64 kB/s\" or \"512 kbit/s\", at least 1 kB/s", s)
}

// amount reads a number before suffix; the result is at most limit.
func amount(s, suffix string, factor, limit float64) (int64, bool) {
	number, ok := strings.CutSuffix(strings.ToUpper(strings.TrimSpace(s)), suffix)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(v > 0) || v*factor > limit || v*factor < 1 {
		return 0, false
	}
	return int64(v * factor), true
}

// SizeText writes a size for people, in powers of ten.
func SizeText(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 999_500:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	case n < 9_950_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n < 999_500_000:
		return fmt.Sprintf("%d MB", (n+500_000)/1_000_000)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
