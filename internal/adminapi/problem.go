package adminapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"relais/internal/fault"
)

// problemType is the prefix of a problem's type (RFC 9457 §3.1.1); the fault's code follows.
const problemType = "urn:relais:fault:"

// statuses is the one table from fault codes to HTTP.
var statuses = map[fault.Code]int{
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Denied:          http.StatusForbidden,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.OverLimit:       http.StatusTooManyRequests,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Temporary:       http.StatusServiceUnavailable,
	fault.Unavailable:     http.StatusBadGateway,
	fault.Frozen:          http.StatusConflict,
	fault.AwaitsPerson:    http.StatusConflict,
	fault.Corrupt:         http.StatusInternalServerError,
	fault.Internal:        http.StatusInternalServerError,
}

// problem is err as an RFC 9457 problem; its private cause stays here.
func problem(err error) *huma.ErrorModel {
	code := fault.CodeOf(err)
	status, ok := statuses[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	p := &huma.ErrorModel{
		Type: problemType + string(code), Title: http.StatusText(status), Status: status, Detail: fault.Public(err),
	}
	for _, line := range Details(err) {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Message: line})
	}
	return p
}

// detailed is a fault with a line for each of several things that are wrong.
type detailed struct {
	fault *fault.Error
	lines []string
}

// Error is the fault's text.
func (d *detailed) Error() string { return d.fault.Error() }

// Unwrap gives the fault.
func (d *detailed) Unwrap() error { return d.fault }

// Details are the lines of an error that lists several things.
func Details(err error) []string {
	if d, ok := errors.AsType[*detailed](err); ok {
		return d.lines
	}
	return nil
}

// Fault is the fault that a problem stands for, in the client. Problems that
// are not ours (huma's validation) are fault.Invalid below 500 and fault.Internal from there.
func Fault(p *huma.ErrorModel) error {
	code := fault.Code(strings.TrimPrefix(p.Type, problemType))
	if _, ok := statuses[code]; !ok {
		code = fault.Internal
		if p.Status < http.StatusInternalServerError {
			code = fault.Invalid
		}
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	d := &detailed{fault: fault.New(code, "%s", text)}
	for _, e := range p.Errors {
		line := e.Message
		if e.Location != "" {
			line = strings.TrimPrefix(e.Location, "body.") + ": " + line
		}
		d.lines = append(d.lines, line)
	}
	return d
}
