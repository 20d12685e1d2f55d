package demo

// What the demo says. The figures come in the same order in both languages.
var (
	title = text{
		"Relais: a company's mail server dies, and the mail goes on.",
		"Relais : le serveur de courriel d'une entreprise meurt, et le courrier continue.",
	}

	headOpening    = text{"The company", "L'entreprise"}
	startServers   = text{"starting the company's server and the standby", "démarrage du serveur de l'entreprise et du relais"}
	serversStarted = text{"Two servers run: the company's own, with %d people, and Relais beside it.", "Deux serveurs tournent : celui de l'entreprise, avec %d personnes, et Relais à côté."}
	loadHistory    = text{"filling the company's server with its mail", "remplissage du serveur de l'entreprise"}
	historyLoaded  = text{"The company's server holds %d messages, in French and English, in nested folders.", "Le serveur de l'entreprise contient %d messages, en français et en anglais, dans des dossiers imbriqués."}

	headMirror    = text{"Before: Relais copies and stands by", "Avant : Relais copie et se tient prêt"}
	coldMirror    = text{"copying everyone's mail to the standby", "copie de tout le courrier vers le relais"}
	mirrored      = text{"The standby is in step: all %d messages are there too.", "Le relais est à jour : les %d messages y sont aussi."}
	normalDay     = text{"an ordinary day: people write, read and file on the company's server", "une journée ordinaire : on écrit, lit et classe sur le serveur de l'entreprise"}
	normalDayDone = text{"An ordinary day: %d messages sent, %d received through Relais, %d filed, flagged or deleted.", "Une journée ordinaire : %d messages envoyés, %d reçus par Relais, %d classés, marqués ou supprimés."}
	catchingUp    = text{"an independent mail program compares the standby with what was sent", "un logiciel indépendant compare le relais avec ce qui a été envoyé"}
	caughtUp      = text{"An independent mail program finds all of that on the standby too, %s later.", "Un logiciel indépendant retrouve tout cela sur le relais aussi, %s plus tard."}

	headOutage    = text{"The outage", "La panne"}
	oldKilled     = text{"The company's server is dead (SIGKILL). Mail from outside keeps coming.", "Le serveur de l'entreprise est mort (SIGKILL). Le courrier continue d'arriver."}
	detecting     = text{"Relais notices", "Relais s'en aperçoit"}
	detected      = text{"Relais has noticed and is in charge, %s after the crash. Nobody pressed a button.", "Relais l'a constaté et a pris la main, %s après la panne. Personne n'a rien fait."}
	firstMail     = text{"a customer writes, an employee reads and answers on the standby", "un client écrit, un employé lit et répond sur le relais"}
	firstMailDone = text{"%s has read a customer's new message and answered under the usual address: %s after the crash.", "%s a lu le nouveau message d'un client et y a répondu sous son adresse habituelle : %s après la panne."}
	carryingOn    = text{"the company works on the standby; from outside", "l'entreprise travaille sur le relais ; de l'extérieur"}
	carriedOn     = text{"Work went on: %d received, %d sent, %d moved, %d flagged, %d deleted, %d folders made.", "Le travail a continué : %d reçus, %d envoyés, %d déplacés, %d marqués, %d supprimés, %d dossiers créés."}

	headReturn   = text{"The return", "Le retour"}
	rebuilding   = text{"the company installs a new server", "l'entreprise installe un nouveau serveur"}
	rebuiltEmpty = text{"The company's server is back, and empty: every message was lost with its disk.", "Le serveur de l'entreprise est revenu, vide : tous les messages ont disparu avec son disque."}
	givingBack   = text{"giving everything back", "restitution de tout le courrier"}
	gaveBack     = text{"Everything is back on the company's server after %s, which is in charge again.", "Tout est revenu en %s sur le serveur de l'entreprise, qui a repris la main."}

	headProof    = text{"The proof", "La preuve"}
	walking      = text{"an independent mail program reads every mailbox on both servers", "un logiciel indépendant relit toutes les boîtes sur les deux serveurs"}
	walked       = text{"An independent mail program finds %d messages on the company's server: %d lost, %d doubled.", "Un logiciel indépendant trouve %d messages sur le serveur de l'entreprise : %d perdu, %d en double."}
	reconciling  = text{"Relais compares both sides and signs its report", "Relais compare les deux côtés et signe son rapport"}
	reconciled   = text{"Relais's own signed report agrees: %d messages are the same on both sides.", "Le rapport signé de Relais le confirme : %d messages identiques des deux côtés."}
	outageCounts = text{
		"the outage, mailbox by mailbox: %d received, %d sent, %d moved, %d flagged, %d deleted",
		"la panne, boîte par boîte : %d reçus, %d envoyés, %d déplacés, %d marqués, %d supprimés",
	}
	differenceCounts = text{
		"lost %d, doubled %d, only there %d, other flags %d, folder %d, date %d, content %d, refused %d",
		"perdus %d, en double %d, seulement là-bas %d, autres marques %d, dossier %d, date %d, contenu %d, refusés %d",
	}

	headSabotage = text{"The sabotage", "Le sabotage"}
	sabotaging   = text{"somebody alters the company's server behind Relais's back", "quelqu'un altère le serveur de l'entreprise dans le dos de Relais"}
	sabotaged    = text{"Behind Relais's back: %d messages deleted, %d doubled, %d with other flags.", "Dans le dos de Relais : %d messages supprimés, %d doublés, %d marqués autrement."}
	caught       = text{"Relais's report names exactly these, and so does the independent program:", "Le rapport de Relais nomme exactement ceux-là, et le logiciel indépendant aussi :"}

	headSum        = text{"In figures, all measured just now", "En chiffres, tous mesurés à l'instant"}
	sumDetected    = text{"outage detected after", "panne détectée en"}
	sumFirst       = text{"new mail read and answered after", "nouveau courrier lu et répondu en"}
	sumReceived    = text{"messages received during the outage", "messages reçus pendant la panne"}
	sumSent        = text{"messages sent during the outage", "messages envoyés pendant la panne"}
	sumReturned    = text{"messages on the company's server after the return", "messages sur le serveur de l'entreprise après le retour"}
	sumLost        = text{"lost", "perdus"}
	sumDoubled     = text{"doubled", "en double"}
	sumDifferences = text{"with another flag, folder or date", "avec un autre marquage, dossier ou date"}
	sumTotal       = text{"the whole demonstration took", "durée de toute la démonstration"}

	headStay      = text{"Try it: both servers stay up", "À vous : les deux serveurs restent en marche"}
	whereOld      = text{"the company's server", "serveur de l'entreprise"}
	whereStandby  = text{"the standby", "relais"}
	whereCommands = text{"The standby's command line: %s status --data %s", "La ligne de commande du relais : %s status --data %s"}
	whereEnd      = text{"Any mail program will do, without encryption. Ctrl-C ends and removes everything.", "Tout logiciel de courriel convient, sans chiffrement. Ctrl-C arrête et efface tout."}
)
