package continuity

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"relais/internal/mail"
)

// wording is what people read of a kind of notice, in both languages; %s is the domain.
type wording struct {
	fr, en     string   // what happened
	toFR, toEN string   // what to do
	run        []string // the commands for it
}

// wordings is the table from kinds to words.
func wordings(k NoticeKind) wording {
	switch k {
	case NoticeFailing:
		return wording{"Le serveur de messagerie de %s ne répond plus.", "The mail server of %s does not answer any more.",
			"Rien n'a été basculé : la décision vous revient. Pour que Relais prenne la main :",
			"Nothing was switched: the decision is yours. To let Relais take over:", []string{"relais failover %s"}}
	case NoticeActive:
		return wording{"Relais assure maintenant la messagerie de %s.", "Relais now carries the mail of %s.",
			"Le courrier arrive et part par Relais. Prévenez les utilisateurs, réparez le serveur, puis rendez-lui la main :",
			"Mail comes and goes through Relais. Tell people, repair the server, then give the domain back:", []string{"relais status", "relais return %s"}}
	case NoticeBlind:
		return wording{"Relais est coupé du réseau et ne peut plus vérifier le serveur de %s.", "Relais is cut off and cannot tell how the server of %s is.",
			"Rien n'a été basculé. Vérifiez la connexion de Relais à Internet.", "Nothing was switched. Check Relais's own connection to the Internet.", []string{"relais status"}}
	case NoticeRecovered:
		return wording{"Le serveur de messagerie de %s répond de nouveau.", "The mail server of %s answers again.", "Il n'y a rien à faire.", "There is nothing to do.", nil}
	case NoticeReturning:
		return wording{"Relais restitue la messagerie de %s à son serveur.", "Relais gives the mail of %s back to its server.",
			"Relais continue d'assurer le service jusqu'à la fin. Pour suivre :", "Relais stays in charge until the end. To follow it:", []string{"relais status"}}
	case NoticeReturned:
		return wording{"La messagerie de %s est revenue sur son serveur ; chaque message a été vérifié.", "The mail of %s is back on its server, compared message by message.",
			"La preuve est le rapport signé :", "The signed report is the proof:", []string{"relais reconcile %s"}}
	case NoticeBrokenOff:
		return wording{"Le retour de %s est interrompu ; Relais continue d'assurer la messagerie.", "The return of %s was broken off; Relais carries the mail.",
			"Réparez le serveur, puis recommencez :", "Repair the server, then begin again:", []string{"relais return %s"}}
	case NoticeFrozen:
		return wording{"La synchronisation de %s est suspendue et attend votre décision.", "The mirror of %s is frozen and waits for your decision.",
			"Rien n'est transmis d'ici là. Acceptez les suppressions, ou refusez-les pour rétablir les messages :",
			"Nothing is passed on until then. Accept the deletions, or refuse them and put the messages back:",
			[]string{"relais mirror accept %s", "relais mirror refuse %s"}}
	case NoticeKind(AskBack):
		return wording{"Le serveur de messagerie de %s répond de nouveau ; Relais garde la main.", "The mail server of %s answers again; Relais stays in charge.",
			"Vérifiez qu'il est sain, puis rendez-lui la main (avec --rebuilt s'il repart vide) :", "Make sure that it is sound, then give the domain back (with --rebuilt if it starts empty):", []string{"relais return %s", "relais return %s --rebuilt"}}
	case NoticeKind(AskCertificate):
		return wording{"Le serveur de messagerie de %s présente un autre certificat.", "The mail server of %s shows another certificate.",
			"Comparez la clé avec celle du serveur. Si c'est la bonne, déclarez-la avec --pin :", "Compare the key with the server's. If it is right, declare it with --pin:", []string{"relais primary show %s", "relais primary add --help"}}
	case NoticeKind(AskBanner):
		return wording{"Le serveur de messagerie de %s ne se présente plus sous le même nom.", "The mail server of %s calls itself something else.",
			"Vérifiez que c'est bien le vôtre.", "Make sure that it is yours.", []string{"relais primary show %s"}}
	case NoticeKind(AskSignIn):
		return wording{"Le serveur de messagerie de %s refuse le compte maître de Relais.", "The mail server of %s refuses Relais's master user.",
			"La synchronisation est arrêtée. Rétablissez le compte ou indiquez le nouveau mot de passe :", "The mirror has stopped. Restore the account or give the new secret:", []string{"relais primary add --help"}}
	case NoticeKind(AskRefused):
		return wording{"Le retour de %s est en attente : le serveur refuse certains messages.", "The return of %s waits: the server refuses some items.",
			"Corrigez le serveur, ou acceptez la liste des refus :", "Mend the server, or accept the list of refusals:", []string{"relais reconcile %s", "relais return accept %s"}}
	case NoticeKind(AskDifferences):
		return wording{"Le retour de %s est en attente : des différences subsistent.", "The return of %s waits: differences remain.",
			"Relais continue d'essayer. Pour en voir la liste :", "Relais goes on trying. The list:", []string{"relais reconcile %s"}}
	}
	return wording{"Relais a besoin de vous pour %s.", "Relais needs you for %s.", "Pour consulter l'état :", "See the status:", []string{"relais status"}}
}

// subject names the notice in one line.
func (n Notice) subject() string {
	w := wordings(n.Kind)
	return "[Relais] " + fmt.Sprintf(w.fr, n.about()) + " / " + fmt.Sprintf(w.en, n.about())
}

// about is what the notice is about: the domain, or the organisation.
func (n Notice) about() string {
	switch {
	case n.Domain != "":
		return n.Domain
	case n.Account != "":
		return n.Account
	}
	return n.Org
}

// text is the notice in plain words, French first.
func (n Notice) text() string {
	w := wordings(n.Kind)
	var b strings.Builder
	part := func(what, do, cause, who, when, question string) {
		fmt.Fprintf(&b, what+"\n\n", n.about())
		fmt.Fprintf(&b, "%s %s\n%s %s\n%s %s\n", when, n.At.UTC().Format("2006-01-02 15:04:05 UTC"), cause, n.Cause, who, n.Actor)
		if n.Account != "" {
			fmt.Fprintf(&b, "%s\n", n.Account)
		}
		if n.Question != 0 {
			fmt.Fprintf(&b, "%s %d (%s)\n", question, n.Question, strings.Join(n.Answers, ", "))
		}
		b.WriteString("\n" + do + "\n")
		for _, command := range w.run {
			b.WriteString("\n    " + strings.ReplaceAll(command, "%s", n.about()))
		}
		b.WriteString("\n")
	}
	part(w.fr, w.toFR, "Cause :", "Par :", "Quand :", "Question :")
	b.WriteString("\n-- English --\n\n")
	part(w.en, w.toEN, "Cause:", "By:", "When:", "Question:")
	return b.String()
}

// message is the notice as mail, all ASCII. Auto-Submitted keeps automatic answers away (RFC 3834 §5).
func (n Notice) message(from, to mail.Address, host string) []byte {
	var b bytes.Buffer
	for _, field := range [][2]string{
		{"From", "Relais <" + from.String() + ">"}, {"To", "<" + to.String() + ">"},
		{"Subject", mime.QEncoding.Encode("utf-8", n.subject())},
		{"Date", n.At.UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + n.ID + ".alarm@" + host + ">"},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(field[0] + ": " + strings.ReplaceAll(field[1], "?= =?", "?=\r\n =?") + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(n.text(), "\n", "\r\n"))) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}
