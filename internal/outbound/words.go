package outbound

import (
	"fmt"
	"strings"
)

// plainWords says in French and English what a status code means (RFC 3463 and
// its registry). The longest prefix of the code that is listed counts.
var plainWords = []struct{ code, french, english string }{
	{"4.4.7", "le serveur du destinataire n'a pas accepté le message dans les délais ; Relais n'essaiera plus", "the recipient's server did not take the message in time; Relais will not try again"},
	{"5.1.1", "cette adresse n'existe pas", "this address does not exist"},
	{"5.1.2", "ce domaine n'existe pas : vérifiez l'orthographe de ce qui suit le @", "this domain does not exist: check the spelling of what follows the @"},
	{"5.1.10", "ce domaine ne reçoit pas de courrier", "this domain takes no mail"},
	{"5.1.3", "cette adresse n'est pas valide", "this address is not valid"},
	{"5.2.1", "cette boîte aux lettres n'est pas en service", "this mailbox is disabled"},
	{"5.2.2", "la boîte aux lettres du destinataire est pleine", "the recipient's mailbox is full"},
	{"5.2.3", "le message est trop volumineux pour ce destinataire", "the message is too big for this recipient"},
	{"5.3.4", "le message est trop volumineux pour le serveur du destinataire", "the message is too big for the recipient's server"},
	{"5.4.6", "le courrier pour ce domaine tourne en rond : prévenez votre administrateur", "mail for this domain goes in circles: tell your administrator"},
	{"5.6.7", "le serveur du destinataire n'accepte pas les adresses avec des accents", "the recipient's server does not take addresses with accents"},
	{"5.7", "le serveur du destinataire refuse ce message pour des raisons de sécurité ou de filtrage", "the recipient's server refuses this message for reasons of security or filtering"},
	{"5", "le serveur du destinataire a refusé le message", "the recipient's server refused the message"},
	{"4", "le serveur du destinataire ne répond pas pour l'instant", "the recipient's server does not answer at present"},
}

func explain(code string) (french, english string) {
	best := ""
	for _, w := range plainWords {
		if (code == w.code || strings.HasPrefix(code, w.code+".")) && len(w.code) > len(best) {
			best, french, english = w.code, w.french, w.english
		}
	}
	return french, english
}

// text is what people read. Lines end in LF.
func (n *Notice) text(hostname string) string {
	var b strings.Builder
	french, english := "Votre message n'a pas pu être remis à :", "Your message could not be delivered to:"
	if n.Fate == Waiting {
		french, english = "Votre message n'a pas encore pu être remis à :", "Your message still waits to be delivered to:"
	}
	const words = 1 << 10
	list := func(intro string, inFrench bool, said string) {
		b.WriteString(intro + "\n\n")
		for _, r := range n.Recipients {
			reason, other := explain(n.code(r))
			if !inFrench {
				reason = other
			}
			fmt.Fprintf(&b, "  %s\n    %s\n", r.To, reason)
			if r.Words != "" {
				fmt.Fprintf(&b, "    %s %s\n", said, strings.ToValidUTF8(r.Words[:min(len(r.Words), words)], "?"))
			}
		}
		b.WriteString("\n")
	}
	list(french, true, "Réponse :")
	if n.Fate == Waiting {
		b.WriteString("Vous n'avez rien à faire : Relais continue d'essayer.\n\n")
	}
	list(english, false, "Answer:")
	if n.Fate == Waiting {
		b.WriteString("There is nothing for you to do: Relais goes on trying.\n\n")
	}
	fmt.Fprintf(&b, "-- \nRelais, %s\n", hostname)
	return b.String()
}
