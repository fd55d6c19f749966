package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

var shells = []string{"bash", "zsh", "fish"}

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "print completions for bash, zsh or fish", Args: takes("SHELL"), ValidArgs: shells,
		Example: "  watchdog completion bash > /etc/bash_completion.d/watchdog",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return &usageError{reason: fmt.Sprintf("unknown shell %q", clean(args[0])), hint: didYouMean(args[0], shells, "use bash, zsh or fish")}
		},
	}
}

// completeNodes offers the configured nodes.
func (a *app) completeNodes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	path, _ := a.configPath()
	c, err := config.LoadWith(path, config.Options{SkipSecrets: true})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.NodeNames(), cobra.ShellCompDirectiveNoFileComp
}
