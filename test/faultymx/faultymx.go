// Package faultymx is an SMTP server that fails where it is told to: refuses, hangs or cuts the connection at a stage.
package faultymx

import (
	"bufio"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Stage is a moment of the dialogue.
type Stage string

// The stages. A recipient has a stage of its own besides RCPT: "RCPT:" and its address.
const (
	Connect  Stage = "connect"
	Hello    Stage = "EHLO"
	StartTLS Stage = "STARTTLS"
	Mail     Stage = "MAIL"
	Rcpt     Stage = "RCPT"
	Data     Stage = "DATA"
	Body     Stage = "message" // while the message comes
	Dot      Stage = "dot"     // the message is there and counts as received
)

// Fault is what happens at a stage.
type Fault struct {
	Reply string // said in place of the good reply, such as "450 4.7.1 later"
	Cut   bool   // closes the connection without a word
	Hang  bool   // says nothing until the client goes
	Times int    // how often; 0 is always
}

// Message is what arrived, whether or not it was answered.
type Message struct {
	From  string   // with its parameters
	To    []string // those accepted
	Data  []byte   // with CR LF line ends, dots unstuffed
	Heard bool     // the client was told 250
}

// Server is a running server. Its methods may be called while it runs.
type Server struct {
	Addr string // 127.0.0.1:port

	mu          sync.Mutex
	extensions  []string
	faults      map[Stage]Fault
	messages    []Message
	commands    []string
	connections int
	peak        int
	open        map[net.Conn]bool
	tls         *tls.Config
	listener    net.Listener
	stopped     chan struct{}
	stop        sync.Once
	running     sync.WaitGroup
}

// Start runs a server until the test ends. It offers PIPELINING, 8BITMIME,
// SMTPUTF8 and SIZE 10000000.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0")
}

// StartAt is Start on an address of loopback, such as 127.0.0.2:2525.
func StartAt(t testing.TB, addr string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("start a faulty mail exchanger: %v", err)
	}
	s := &Server{
		Addr: l.Addr().String(), listener: l, faults: map[Stage]Fault{}, open: map[net.Conn]bool{}, stopped: make(chan struct{}),
		extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000", "ENHANCEDSTATUSCODES"},
	}
	s.running.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// Stop closes the listener and all connections.
func (s *Server) Stop() {
	s.listener.Close()
	s.stop.Do(func() { close(s.stopped) })
	s.mu.Lock()
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Offer replaces the extensions.
func (s *Server) Offer(extensions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extensions = extensions
}

// OfferTLS adds STARTTLS with the certificate; a nil one breaks every handshake.
func (s *Server) OfferTLS(certificate *tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extensions = append(slices.Clone(s.extensions), "STARTTLS")
	s.tls = &tls.Config{}
	if certificate != nil {
		s.tls.Certificates = []tls.Certificate{*certificate}
	}
}

// Fail sets what happens at a stage; the zero Fault takes it back.
func (s *Server) Fail(at Stage, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == (Fault{}) {
		delete(s.faults, at)
		return
	}
	s.faults[at] = f
}

// Messages are those received so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Commands are the lines said by clients so far.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Connections is how many there were, and how many at most at the same time.
func (s *Server) Connections() (total, peak int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections, s.peak
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.connections++
		s.open[conn] = true
		s.peak = max(s.peak, len(s.open))
		s.mu.Unlock()
		s.running.Go(func() {
			defer func() {
				conn.Close()
				s.mu.Lock()
				delete(s.open, conn)
				s.mu.Unlock()
			}()
			d := &dialogue{server: s}
			d.use(conn)
			d.run()
		})
	}
}

// fault takes the fault of the first stage that has one.
func (s *Server) fault(stages ...Stage) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range stages {
		f, ok := s.faults[at]
		if !ok {
			continue
		}
		if f.Times == 1 {
			delete(s.faults, at)
		} else if f.Times > 1 {
			f.Times--
			s.faults[at] = f
		}
		return f, true
	}
	return Fault{}, false
}

// dialogue is one connection.
type dialogue struct {
	server  *Server
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	message Message
}

func (d *dialogue) use(conn net.Conn) {
	d.conn, d.r, d.w = conn, bufio.NewReader(conn), bufio.NewWriter(conn)
}

// say answers, with the fault's answer if there is one at the stages; ok tells
// whether it was the good one, alive whether the dialogue goes on.
func (d *dialogue) say(good string, stages ...Stage) (ok, alive bool) {
	if f, faulty := d.server.fault(stages...); faulty {
		switch {
		case f.Cut:
			return false, false
		case f.Hang:
			_ = d.w.Flush()
			for _, err := d.r.ReadByte(); err == nil; _, err = d.r.ReadByte() {
			}
			return false, false
		}
		d.line(f.Reply)
		return strings.HasPrefix(f.Reply, "2") || strings.HasPrefix(f.Reply, "3"), !strings.HasPrefix(f.Reply, "421")
	}
	d.line(good)
	return true, true
}

func (d *dialogue) line(s string) {
	d.w.WriteString(s + "\r\n")
	if d.r.Buffered() == 0 {
		_ = d.w.Flush()
	}
}

func (d *dialogue) run() {
	defer func() { _ = d.w.Flush() }()
	if _, alive := d.say("220 faulty.test ESMTP", Connect); !alive {
		return
	}
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		d.server.mu.Lock()
		d.server.commands = append(d.server.commands, line)
		d.server.mu.Unlock()
		if !d.command(line) {
			return
		}
	}
}

func (d *dialogue) command(line string) (alive bool) {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	switch verb {
	case "EHLO":
		return d.hello()
	case "HELO", "RSET", "NOOP":
		d.message = Message{}
		d.line("250 OK")
	case "STARTTLS":
		ok, alive := d.say("220 go", StartTLS)
		if !ok {
			return alive
		}
		_ = d.w.Flush()
		secure := tls.Server(d.conn, d.server.tls)
		if secure.Handshake() != nil {
			return false
		}
		d.use(secure)
	case "MAIL":
		ok, alive := d.say("250 2.1.0 OK", Mail)
		if d.message = (Message{}); ok {
			d.message.From = line[len("MAIL FROM:"):]
		}
		return alive
	case "RCPT":
		to := strings.Trim(line[len("RCPT TO:"):], "<>")
		if d.message.From == "" {
			d.line("503 5.5.1 MAIL first")
			return true
		}
		ok, alive := d.say("250 2.1.5 OK", Stage("RCPT:"+to), Rcpt)
		if ok {
			d.message.To = append(d.message.To, to)
		}
		return alive
	case "DATA":
		if len(d.message.To) == 0 {
			d.line("554 5.5.1 no valid recipients")
			return true
		}
		if ok, alive := d.say("354 go", Data); !ok {
			return alive
		}
		return d.data()
	case "QUIT":
		d.line("221 bye")
		return false
	default:
		d.line("500 5.5.1 what?")
	}
	return true
}

func (d *dialogue) hello() (alive bool) {
	d.server.mu.Lock()
	extensions := slices.Clone(d.server.extensions)
	d.server.mu.Unlock()
	if _, encrypted := d.conn.(*tls.Conn); encrypted {
		extensions = slices.DeleteFunc(extensions, func(e string) bool { return e == "STARTTLS" })
	}
	var b strings.Builder
	b.WriteString("250-faulty.test\r\n")
	for _, e := range extensions {
		b.WriteString("250-" + e + "\r\n")
	}
	_, alive = d.say(b.String()+"250 HELP", Hello)
	return alive
}

func (d *dialogue) data() (alive bool) {
	_ = d.w.Flush()
	if f, faulty := d.server.fault(Body); faulty {
		_, _ = d.r.ReadString('\n')
		if f.Hang {
			<-d.server.stopped // reads nothing more: the client's buffers fill
		}
		return false
	}
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		d.message.Data = append(d.message.Data, strings.TrimPrefix(line, ".")...)
	}
	s := d.server
	s.mu.Lock()
	at := len(s.messages)
	s.messages = append(s.messages, d.message)
	s.mu.Unlock()
	d.message = Message{}
	ok, alive := d.say("250 2.0.0 queued", Dot)
	s.mu.Lock()
	s.messages[at].Heard = ok
	s.mu.Unlock()
	return alive
}
