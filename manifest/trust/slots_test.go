package trust

import (
	"bytes"
	"errors"
	"testing"
)

func TestSlotsKeepTheNewest(t *testing.T) {
	s := slots{dir: t.TempDir()}
	if v, err := s.load(); v != nil || err != nil {
		t.Fatalf("empty: %q, %v", v, err)
	}
	for _, value := range []string{"one", "two", "three", "four"} {
		if err := s.save([]byte(value)); err != nil {
			t.Fatal(err)
		}
		again := slots{dir: s.dir}
		got, err := again.load()
		if err != nil || string(got) != value {
			t.Errorf("got %q, %v, want %q", got, err, value)
		}
		if again.next != s.next || again.generation != s.generation {
			t.Errorf("after %s: slot %d generation %d, want %d %d", value, again.next, again.generation, s.next, s.generation)
		}
	}
}

func TestEveryFlippedByteIsSeen(t *testing.T) {
	good := encodeSlot(7, []byte(`{"root":"x"}`))
	for n := range good {
		bad := bytes.Clone(good)
		bad[n] ^= 1
		if generation, _, err := decodeSlot(bad); err == nil && generation == 7 {
			t.Errorf("byte %d flipped and not seen", n)
		}
	}
	for n := range good {
		if _, _, err := decodeSlot(good[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func FuzzSlot(f *testing.F) {
	f.Add(encodeSlot(1, []byte(`{"root":"eA=="}`)))
	f.Add([]byte("dhow-trust 1 18446744073709551615 00 0\n"))
	f.Add([]byte("dhow-trust 2 1 00 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		generation, value, err := decodeSlot(data)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeSlot(generation, value), data) {
			t.Error("decoded what was never encoded")
		}
		if s, err := decodeState(value); err == nil && s.Root == nil {
			t.Error("a state without a root")
		}
	})
}
