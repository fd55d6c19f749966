package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

var shells = []string{"bash", "zsh", "fish"}

// alsoCompleted makes each shell complete the packaged name of the program as
// well: the only one where Debian's own watchdog is installed.
var alsoCompleted = map[string]string{
	"bash": "complete -o default -F __start_watchdog pg-watchdog\n",
	"zsh":  "compdef _watchdog pg-watchdog\n",
	"fish": "complete -c pg-watchdog -w watchdog\n",
}

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "print completions for bash, zsh or fish", Args: takes("SHELL"), ValidArgs: shells,
		Example: "  watchdog completion bash > /etc/bash_completion.d/watchdog",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			var err error
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				err = root.GenZshCompletion(a.stdout)
			case "fish":
				err = root.GenFishCompletion(a.stdout, true)
			}
			if also, known := alsoCompleted[args[0]]; known {
				a.out("%s", also)
				return err
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
