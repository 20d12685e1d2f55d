package intake

import (
	"testing"
	"time"

	"relais/internal/fault"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestOwnMessageIsMadeReady(t *testing.T) {
	t.Parallel()
	ids := newIdentities([]string{"ann@exemple.test", "a.martin@exemple.test"})
	for name, c := range map[string]struct{ raw, want string }{
		"complete": {
			"From: Ann <A.Martin@exemple.test>\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n",
			"From: Ann <A.Martin@exemple.test>\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n",
		},
		"bare": {
			"Subject: s\r\n\r\nHi\r\n",
			"Subject: s\r\nFrom: <ann@exemple.test>\r\nDate: Mon, 02 Mar 2026 12:00:00 +0000\r\nMessage-ID: <id@mx.test>\r\n\r\nHi\r\n",
		},
		"header alone, no line end": {
			"From: ann@exemple.test\r\nDate: x\r\nMessage-ID: <1@x>",
			"From: ann@exemple.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n",
		},
		"folded Bcc": {
			"Bcc: a@x.test,\r\n\tb@x.test\r\nFrom: ann+list@exemple.test\r\nbCC: c@x.test\r\nDate: x\r\nMessage-ID: <1@x>\r\nReturn-Path: <x>\r\n\r\nBcc: body\r\n",
			"From: ann+list@exemple.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nBcc: body\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := prepareOwn([]byte(c.raw), ids, "ID", "mx.test", noon)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

func TestOtherPeoplesIdentitiesAreRefused(t *testing.T) {
	t.Parallel()
	ids := newIdentities([]string{"ann@exemple.test"})
	for _, header := range []string{
		"From: boss@exemple.test\r\n",
		"From: ann@exemple.test, boss@exemple.test\r\n",
		"From: ann@exemple.test\r\nFrom: ann@exemple.test\r\n",
		"From: \"ann@exemple.test\" <boss@exemple.test>\r\n",
		"From: ann@exemple.test\r\nSender: boss@exemple.test\r\n",
		"From: nobody\r\n",
		"From:\r\n",
		"from : boss@exemple.test\r\n",
	} {
		if _, err := prepareOwn([]byte(header+"\r\nHi\r\n"), ids, "ID", "mx.test", noon); !fault.Is(err, fault.Denied) {
			t.Errorf("%q: %v, want denied", header, err)
		}
	}
}
