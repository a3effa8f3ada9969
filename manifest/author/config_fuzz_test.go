package author

import (
	"errors"
	"testing"
)

// FuzzConfig reads any bytes as an image's config.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"arm","variant":"v7","rootfs":{"diff_ids":["sha256:00"]},"config":{"Volumes":{"/data":{}}}}`))
	f.Add([]byte(`{"config":null}`))
	f.Add([]byte(`{"config":{"config":[[[[]]]]}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			return
		}
		if p, err := c.platform(); err == nil && p == "" {
			t.Error("no platform")
		}
	})
}
