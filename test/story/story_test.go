package story_test

import (
	"testing"

	"relais/internal/demo/tamper"
	"relais/test/postgres"
	"relais/test/story"
)

// size is the full one, or the short one under -short.
func size(short story.Size) story.Size {
	if testing.Short() {
		return short
	}
	return story.Full
}

func TestWipedPrimaryGetsEverythingBack(t *testing.T) {
	story.Tell(story.Open(t, story.Options{Size: size(story.Short), Seed: 1}), story.Wiped)
}

func TestWipedPrimaryGetsEverythingBackOnPostgreSQL(t *testing.T) {
	url := postgres.Start(t).Database()
	story.Tell(story.Open(t, story.Options{Size: size(story.Tiny), Seed: 2, Store: url}), story.Wiped)
}

func TestKilledPrimaryGetsTheOutageBack(t *testing.T) {
	story.Tell(story.Open(t, story.Options{Size: size(story.Tiny), Seed: 3}), story.Killed)
}

func TestHalfDeadPrimaryIsReplacedAndGetsTheOutageBack(t *testing.T) {
	story.Tell(story.Open(t, story.Options{Size: size(story.Tiny), Seed: 4}), story.HalfDead)
}

func TestTamperedPrimaryIsReportedExactly(t *testing.T) {
	story.TellTampered(story.Open(t, story.Options{Size: size(story.Tiny), Seed: 5}), tamper.Kinds{Lost: 3, Doubled: 2, Flags: 4, Folder: 2})
}
