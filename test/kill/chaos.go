// Package kill kills Relais again and again in the middle of its work, at named instants and at random ones, and
// expects it to be whole each time.
package kill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"relais/internal/crashpoint"
	"relais/test/relais"
	"relais/test/story"
)

// Chaos kills the node of a story. Kills alternate between named crash points and random instants.
type Chaos struct {
	Struck   int // kills so far
	AtPoints int // of them at a crash point
	Deaths   int // also counts the restarts that arm a crash point

	stage  *story.Stage
	rng    *rand.Rand
	points []string       // not yet struck, in random order
	idle   map[string]int // how often a point was armed in vain
}

// New makes a chaos that does the same for the same seed, as far as the machine lets it.
func New(s *story.Stage, seed uint64) *Chaos {
	rng := rand.New(rand.NewPCG(seed, 11))
	points := crashpoint.Names()
	rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return &Chaos{stage: s, rng: rng, points: points, idle: map[string]int{}}
}

// patience is how long a crash point may take to be passed before another is tried.
const patience = 4 * time.Second

// Spend kills the running node n times, points of them at crash points, checks the store after each kill and starts
// it again. Something must be going on meanwhile that makes the node work.
func (c *Chaos) Spend(n, points int) {
	c.stage.T.Helper()
	for range points {
		c.atPoint()
	}
	for range n - points {
		c.atRandom()
	}
}

// atPoint restarts the node with a point armed and waits until it has struck. A point that the story does not pass at
// this stage is put back for a later one, twice.
func (c *Chaos) atPoint() {
	t, node := c.stage.T, c.stage.Node
	t.Helper()
	for range 2 * len(c.points) {
		if len(c.points) == 0 {
			break
		}
		point := c.points[0]
		c.points = c.points[1:]
		armed := fmt.Sprintf("%s:%d", point, 1+c.rng.IntN(5))
		node.Kill()
		c.Deaths++
		node.ServeUntil(armed)
		if node.Wait(patience) {
			c.struck("at crash point " + armed)
			c.AtPoints++
			// It may strike again once the others had their turn.
			c.points = append(c.points, point)
			return
		}
		if c.idle[point]++; c.idle[point] < 3 {
			c.points = append(c.points, point)
		}
	}
	t.Fatalf("no crash point was passed within %s; armed in vain: %v", patience, c.idle)
}

func (c *Chaos) atRandom() {
	after := time.Duration(200+c.rng.IntN(2500)) * time.Millisecond
	if c.stage.Node.Wait(after) {
		c.stage.T.Fatalf("the node ended by itself:\n%s", c.stage.Node.Log(30))
	}
	c.struck(fmt.Sprintf("after %s", after))
}

// struck makes sure that the node is dead, checks its store, and starts it.
func (c *Chaos) struck(how string) {
	node := c.stage.Node
	node.Kill()
	c.Struck++
	c.Deaths++
	node.Must("check", "--store")
	began := time.Now()
	node.Serve()
	c.stage.Say("kill %d, %s: check is clean, ready again after %.2f s", c.Struck, how, time.Since(began).Seconds())
}

// Insist repeats a command that a kill interrupts until it ends with 0. One that awaits a person is not repeated.
func (c *Chaos) Insist(limit time.Duration, args ...string) error {
	deadline := time.Now().Add(limit)
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for {
		a := c.stage.Node.Run(args...)
		if a.Status == 0 {
			return nil
		}
		if a.Status == relais.AwaitsPerson || time.Now().After(deadline) {
			return errors.New(a.String())
		}
		<-pause.C
	}
}
