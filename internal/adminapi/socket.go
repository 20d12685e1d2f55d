package adminapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"relais/internal/fault"
)

const (
	socketName    = "relais.sock" // the socket, in the data directory
	locationName  = "socket"      // a text file that names the socket's path
	maxSocketPath = 107           // sockaddr_un of Linux, its final NUL left out
)

// Listen opens the Unix socket of the node whose data directory is dir, mode
// 0600, and writes its path to DIR/socket. In a directory too deep for a socket
// path it lies in a directory of its own under the system's temporary one. A
// socket left behind by a node that died is replaced: the caller holds the
// node's lock. Closing the listener removes both files.
func Listen(dir string) (net.Listener, error) {
	path, err := filepath.Abs(filepath.Join(dir, socketName))
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	l := &socket{location: filepath.Join(dir, locationName)}
	if len(path) > maxSocketPath {
		if l.ownDir, err = os.MkdirTemp("", "relais-"); err != nil { // mode 0700
			return nil, fmt.Errorf("open socket: %w", err)
		}
		path = filepath.Join(l.ownDir, socketName)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	// The mode is set before anybody can connect: a socket is connectable once it listens.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		err := c.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}}
	if l.Listener, err = lc.Listen(context.Background(), "unix", path); err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(l.location, []byte(path+"\n"), 0o600)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return l, nil
}

// socket is the listener with what must go when it does.
type socket struct {
	net.Listener
	location string
	ownDir   string
}

// Close stops listening and removes the socket and the file that names it.
func (s *socket) Close() error {
	err := s.Listener.Close() // removes the socket itself
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	_ = os.Remove(s.location)
	if s.ownDir != "" {
		_ = os.Remove(s.ownDir)
	}
	return err
}

// ErrNoNode says that no node answers on the socket.
var ErrNoNode = errors.New("no node answers")

// Dial connects to the node whose data directory is dir. A node that does not
// run is fault.Unavailable and wraps ErrNoNode.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	text, err := os.ReadFile(filepath.Join(dir, locationName))
	if err != nil {
		return nil, fault.Wrap(errors.Join(ErrNoNode, err), fault.Unavailable, "no node runs in %s; start it with: relais serve --config %s", dir, filepath.Join(dir, "relais.toml"))
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fault.Wrap(errors.Join(ErrNoNode, err), fault.Unavailable, "the node in %s does not answer; start it with: relais serve --config %s", dir, filepath.Join(dir, "relais.toml"))
	}
	return c, nil
}

// peerActor names who is at the other end of a Unix socket, by user id: what
// the audit log records.
func peerActor(c net.Conn) string {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return "unknown"
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return "unknown"
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || cerr != nil {
		return "unknown"
	}
	return fmt.Sprintf("uid:%d", cred.Uid)
}
