package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

// exitCodes is the help topic that says what the exit codes mean to scripts: dhow help exit-codes.
func exitCodes() *cobra.Command {
	var b strings.Builder
	b.WriteString("dhow ends with one of these codes:\n\n")
	for _, c := range api.Codes {
		fmt.Fprintf(&b, "  %2d  %s\n", c.Code, c.Meaning)
	}
	return &cobra.Command{Use: "exit-codes", Long: strings.TrimRight(b.String(), "\n")}
}
