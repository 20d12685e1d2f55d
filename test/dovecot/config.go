package dovecot

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
)

// nobody and nogroup on Debian; Dovecot refuses to keep mail as root.
const (
	mailUID = 65534
	mailGID = 65534
)

func owner() (uid, gid int) {
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid()
	}
	return mailUID, mailGID
}

// config is the text of dovecot.conf for Dovecot 2.3.
func (s *Server) config() string {
	host, imapPort, _ := net.SplitHostPort(s.Addr)
	tlsPort, tlsText := "0", "ssl = no\n"
	if s.cfg.TLS {
		_, tlsPort, _ = net.SplitHostPort(s.TLSAddr)
		tlsText = fmt.Sprintf("ssl = yes\nssl_cert = <%s\nssl_key = <%s\nssl_min_protocol = TLSv1.2\n", s.Cert.CertFile, s.Cert.KeyFile)
	}
	or := func(v, otherwise string) string {
		if v == "" {
			return otherwise
		}
		return v
	}
	capability := ""
	if s.cfg.Capability != "" {
		capability = "  imap_capability = " + s.cfg.Capability + "\n"
	}
	location := map[string]string{
		"": "maildir:~/Maildir", "maildir": "maildir:~/Maildir", "sdbox": "sdbox:~/sdbox", "mdbox": "mdbox:~/mdbox",
	}[s.cfg.Storage]
	return fmt.Sprintf(`# Dovecot for one test.
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/dovecot.log
listen = %[2]s
protocols = imap lmtp
instance_name = test-%[3]s
%[4]s%[5]s
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = %[1]s/masters
  master = yes
}
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}

first_valid_uid = 1
mail_location = %[6]s
mail_fsync = %[7]s
namespace inbox {
  inbox = yes
  separator = %[8]s
  prefix = %[9]s
  mailbox Drafts {
    auto = subscribe
    special_use = \Drafts
  }
  mailbox Sent {
    auto = subscribe
    special_use = \Sent
  }
  mailbox Junk {
    auto = subscribe
    special_use = \Junk
  }
  mailbox Trash {
    auto = subscribe
    special_use = \Trash
  }
  mailbox Archive {
    auto = no
    special_use = \Archive
  }
}

# Limits meant for the open internet; a mirror or a test opens hundreds of connections from one address.
default_process_limit = 500
default_client_limit = 4000
protocol imap {
  mail_max_userip_connections = 1000
%[10]s}

service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = %[3]s
  }
  inet_listener imaps {
    port = %[11]s
    ssl = yes
  }
}
service anvil {
  chroot =
}
service lmtp {
  unix_listener %[12]s {
    mode = 0666
  }
}
%[13]s
`,
		s.Dir, host, imapPort, identity(), tlsText,
		location, or(s.cfg.Fsync, "optimized"), or(s.cfg.Separator, "/"), s.cfg.Prefix,
		capability, tlsPort, filepath.Join(s.Dir, "lmtp"), s.cfg.Extra)
}

// identity lets Dovecot run without root: everything then belongs to who runs the test.
func identity() string {
	if os.Getuid() == 0 {
		return ""
	}
	name, group := fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("default_internal_user = %s\ndefault_internal_group = %s\ndefault_login_user = %s\n", name, group, name)
}
