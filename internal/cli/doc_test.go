package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Each command has help with an example and a place in the document.
func TestEveryCommandIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/formats/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var r root
	parser, err := kong.New(&r, kong.Name("relais"), kong.Vars{"version": "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(false) {
		path := strings.TrimPrefix(leaf.FullPath(), "relais ")
		if leaf.Help == "" || !strings.Contains(leaf.Detail, "Example:\n  relais "+strings.Fields(path)[0]) {
			t.Errorf("relais %s has no help with an example", path)
		}
		if !strings.Contains(string(text), "`"+path) && !strings.Contains(string(text), "… "+path[strings.Index(path, " ")+1:]) {
			t.Errorf("docs/formats/cli.md does not name `%s`", path)
		}
		for _, flag := range leaf.Flags {
			if flag.Name != "help" && leaf.Name != "demo" && !strings.Contains(string(text), "--"+flag.Name) {
				t.Errorf("docs/formats/cli.md does not name --%s of `%s`", flag.Name, path)
			}
		}
	}
}
