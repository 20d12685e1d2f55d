package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"relais/internal/fault"
)

// maxAnswer bounds what a client reads of one answer, 256 MiB: the ledger of a large domain.
const maxAnswer = 256 << 20

// Client speaks to a node over its Unix socket.
type Client struct{ http *http.Client }

// NewClient is a client of the node whose data directory is dir.
func NewClient(dir string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, dir) },
	}}}
}

// Do sends a request (in may be nil) and reads the answer into out (may be nil).
// A problem comes back as the fault it stands for, a node that is not there as
// fault.Unavailable.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://relais"+Prefix+path, body)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, ErrNoNode) || ctx.Err() != nil {
			return err
		}
		return fault.Wrap(errors.Join(ErrNoNode, err), fault.Unavailable, "the node ended the connection")
	}
	defer resp.Body.Close()
	answer := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode >= http.StatusBadRequest {
		p := &huma.ErrorModel{Status: resp.StatusCode, Title: resp.Status}
		if err := json.NewDecoder(answer).Decode(p); err != nil {
			return fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return Fault(p)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(answer).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s %s: %w", method, path, err)
	}
	return nil
}
