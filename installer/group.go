package installer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strings"
)

// Group is the group whose members may talk to the agent.
const Group = "dhow"

// MakeGroup makes the group where it is missing.
func MakeGroup() (Done, error) {
	if runtime.GOOS == "windows" {
		return Kept, nil
	}
	var unknown user.UnknownGroupError
	if _, err := user.LookupGroup(Group); err == nil || !errors.As(err, &unknown) {
		return Kept, err
	}
	// The second is busybox.
	if err := either([]string{"groupadd", "--system", Group}, []string{"addgroup", "-S", Group}); err != nil {
		return "", fmt.Errorf("cannot make the group %s: %w", Group, err)
	}
	return Made, nil
}

// Caller is the user who has called a program with sudo, "" when nobody has.
func Caller() string {
	if name := os.Getenv("SUDO_USER"); name != "root" {
		return name
	}
	return ""
}

// InGroup reports whether a user is in the group.
func InGroup(name string) bool {
	u, err := user.Lookup(name)
	if err != nil {
		return false
	}
	g, err := user.LookupGroup(Group)
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, g.Gid)
}

// AddToGroup lets a user talk to the agent, from the next login on.
func AddToGroup(name string) error {
	if err := either([]string{"usermod", "--append", "--groups", Group, name}, []string{"addgroup", name, Group}); err != nil {
		return fmt.Errorf("cannot add %s to the group %s: %w", name, Group, err)
	}
	return nil
}

// either runs the first of two commands that is there.
func either(commands ...[]string) error {
	for _, args := range commands {
		path, err := exec.LookPath(args[0])
		if err != nil {
			continue
		}
		if out, err := exec.Command(path, args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	return fmt.Errorf("neither %s nor %s is there", commands[0][0], commands[1][0])
}
