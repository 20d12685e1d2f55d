package internal

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	requirementRow = regexp.MustCompile(`^\| (\d+\.\d+\.\d+) \|`)
	namedTest      = regexp.MustCompile("`((?:internal|test|cmd)[a-z0-9/]*)\\.((?:Test|Fuzz|Benchmark)[A-Z]\\w*)(?:/([^`]+))?`")
	namedTarget    = regexp.MustCompile("`make ([a-z-]+)`")
)

// docs/requirements.md names a test, a make target or "open" for every
// requirement. A test that was renamed or removed must not live on there.
func TestRequirementsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	text := readFile(t, "../docs/requirements.md")
	makefile := readFile(t, "../Makefile")
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		if !hasTest(t, filepath.Join("..", m[1]), m[2]) {
			t.Errorf("%s has no %s", m[1], m[2])
		}
		if m[3] != "" && !hasPart(t, filepath.Join("..", m[1]), m[3]) {
			t.Errorf("%s.%s has no part %q", m[1], m[2], m[3])
		}
	}
	for _, m := range namedTarget.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("the Makefile has no target %s", m[1])
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		id := requirementRow.FindStringSubmatch(line)
		if id == nil {
			continue
		}
		if seen[id[1]] {
			t.Errorf("%s stands there twice", id[1])
		}
		seen[id[1]] = true
		if !namedTest.MatchString(line) && !namedTarget.MatchString(line) && !strings.Contains(line, "**open**") && !strings.Contains(line, "no test can hold it") {
			t.Errorf("%s names neither a test nor that it is open", id[1])
		}
	}
	if len(seen) == 0 {
		t.Error("no requirements found")
	}
}

// hasTest tells whether a test file right in dir declares the function.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(readFile(t, file), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// hasPart tells whether the name of a part of a test stands in some Go file
// below dir, or is that of a file there, its ending left out.
func hasPart(t *testing.T, dir, name string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || found {
			return err
		}
		ending := filepath.Ext(path)
		found = strings.TrimSuffix(d.Name(), ending) == name ||
			ending == ".go" && strings.Contains(readFile(t, path), strconv.Quote(name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
