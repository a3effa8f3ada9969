package main

import (
	"github.com/spf13/cobra"

	"dhow/agent/site"
	"dhow/installer/manual"
)

// configTopic is the help topic on dhow.yaml: dhow help dhow.yaml, and man dhow.yaml.
func (s *shell) configTopic() *cobra.Command {
	return &cobra.Command{
		Use: "dhow.yaml",
		Long: "/etc/dhow/dhow.yaml says who this site is, where releases come from, and when. dhow install writes it. What is changed\n" +
			"counts at once (hours, sources) or, at the latest, when the agent is started again. Passwords stand in site.env.\n" +
			"Every key, with an example; \"the fleet's\" is policy in fleet.yaml:\n" + site.Reference(),
		Annotations: map[string]string{manual.Topic: "dhow.yaml(5)"},
	}
}
