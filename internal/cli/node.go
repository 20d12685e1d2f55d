package cli

import (
	"errors"
	"fmt"
	"net/http"

	"relais/internal/adminapi"
	"relais/internal/fault"
)

// errNode marks errors of reaching the node itself: exit status 4. That a
// primary does not answer is an answer of the node, and another status.
var errNode = errors.New("node unreachable")

// call speaks to the node. in and out may be nil.
func (s *session) call(method, path string, in, out any) error {
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	err = adminapi.NewClient(dir).Do(s.ctx, method, path, in, out)
	if errors.Is(err, adminapi.ErrNoNode) {
		return &nodeError{err}
	}
	return err
}

// nodeError is an error of reaching the node.
type nodeError struct{ cause error }

// Error says what stands in the way.
func (e *nodeError) Error() string {
	if fault.CodeOf(e.cause) == fault.Unavailable {
		return fault.Public(e.cause)
	}
	return fmt.Sprint(e.cause)
}

// Is tells that it is errNode.
func (e *nodeError) Is(target error) bool { return target == errNode }

// Unwrap gives the cause.
func (e *nodeError) Unwrap() error { return e.cause }

func (s *session) get(path string, out any) error { return s.call(http.MethodGet, path, nil, out) }

func (s *session) post(path string, in, out any) error {
	return s.call(http.MethodPost, path, in, out)
}
