// Package program looks at an executable file without running it: whether it is one for a platform, and whole as far as its headers tell.
//
// Platforms are named as in releases: linux/amd64, linux/arm64, linux/arm/v7, windows/amd64, darwin/arm64. The bytes are hostile: what the
// headers say is read by the standard library's parsers, and nothing is executed.
package program

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
)

// ErrOther means that a file is not a program for the platform.
var ErrOther = errors.New("not a program for this platform")

// Here is the platform of this program.
func Here() string {
	if runtime.GOARCH == "arm" {
		return runtime.GOOS + "/arm/v7"
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}

// Check fails with ErrOther when r, of size bytes, is no executable of platform, or ends before its headers say.
func Check(r io.ReaderAt, size int64, platform string) (err error) {
	defer func() {
		if p := recover(); p != nil { // the parsers promise much, but these bytes come from far away
			err = fmt.Errorf("%w: %s: its headers can't be read", ErrOther, platform)
		}
	}()
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%w: %.80q is no platform such as linux/amd64", ErrOther, platform)
	}
	arch, _, _ = strings.Cut(arch, "/")
	other := func(what string) error { return fmt.Errorf("%w: %s is wanted, and it is %s", ErrOther, platform, what) }
	switch system {
	case "linux":
		return checkELF(r, size, arch, other)
	case "windows":
		f, err := pe.NewFile(r)
		if err != nil {
			return other("no Windows program")
		}
		want := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64, "386": pe.IMAGE_FILE_MACHINE_I386}[arch]
		if want == 0 || f.Machine != want {
			return other(fmt.Sprintf("for machine %#x", f.Machine))
		}
		return nil
	case "darwin":
		f, err := macho.NewFile(r)
		if err != nil {
			return other("no macOS program")
		}
		want := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[arch]
		if want == 0 || f.Cpu != want {
			return other("for " + f.Cpu.String())
		}
		return nil
	}
	return fmt.Errorf("%w: nothing is known of %.80q", ErrOther, platform)
}

// checkELF also holds the file's length against its segments: a download that was cut has its header.
func checkELF(r io.ReaderAt, size int64, arch string, other func(string) error) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return other("no Linux program, or only a part of one")
	}
	want, known := map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "386": elf.EM_386, "riscv64": elf.EM_RISCV,
	}[arch]
	if !known || f.Machine != want {
		return other("for " + strings.TrimPrefix(f.Machine.String(), "EM_"))
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return other("no executable file")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && (p.Filesz > uint64(size) || p.Off > uint64(size)-p.Filesz) {
			return other("only a part of one")
		}
	}
	return nil
}
