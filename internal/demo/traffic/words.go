package traffic

var subjectsFR = []string{
	"Devis n° %d pour la rénovation de l'atelier", "Facture %d – échéance fin de mois", "Réunion de chantier, semaine %d", "Compte rendu du comité (point %d)",
	"Commande %d : délai de livraison", "Planning des congés d'été, version %d", "Relance : règlement de la facture %d", "Bon de livraison %d à signer",
	"Question sur le contrat de maintenance %d", "Invitation : inauguration du bâtiment %d",
}

var subjectsEN = []string{
	"Quote %d for the spare parts", "Invoice %d attached", "Minutes of Tuesday's call (%d actions)", "Shipment %d delayed at customs",
	"Re-order of batch %d", "Draft contract, revision %d", "Visit on the %dth: access badges", "Your ticket #%d has been updated",
	"Holiday rota, version %d", "Spec sheet for model %d",
}

var sentencesFR = []string{
	"Vous trouverez ci-joint le document demandé.", "Merci de me confirmer la réception avant jeudi midi.", "Le fournisseur annonce dix jours de retard sur les joints d'étanchéité.",
	"J'ai vu avec l'atelier : c'est faisable, à condition de commander cette semaine.", "Peux-tu vérifier le montant de la TVA ? Il me semble qu'il manque 127,40 €.",
	"Le client préfère être livré à l'entrepôt de Saint-Étienne.", "Je suis absent mercredi, appelez-moi sur le portable en cas d'urgence.",
	"Comme convenu, nous gardons l'ancienne référence jusqu'à l'été.", "La réunion est déplacée à 14 h 30, salle Côte d'Émeraude.",
	"Dès que j'ai la réponse du notaire, je te tiens au courant.", "Nous restons à votre disposition pour tout renseignement complémentaire.",
}

var sentencesEN = []string{
	"Please find the document attached.", "Could you confirm by Thursday noon?", "The carrier says the pallets left Rotterdam last night.",
	"I checked with the workshop and we can do it if the order goes out this week.", "There seems to be a difference of £127.40 in the totals.",
	"The customer would rather have it delivered to the north warehouse.", "I'm out on Wednesday; call my mobile if it's urgent.",
	"As agreed we keep the old part number until the summer.", "The meeting has moved to half past two, in the large room.",
	"I'll let you know as soon as the lawyers have answered.", "Don't hesitate to ask if anything is unclear.",
}

// folders nest, and their names hold what trips naive code: accents, ampersands (RFC 3501 §5.1.3), quotes, other scripts, outer case.
var folders = []string{
	"Clients", "Clients/Dupont & Fils", "Clients/Énergie du Sud", "Projets", "Projets/Été 2026", "Projets/Été 2026/Réunions", "Comptabilité",
	"Comptabilité/Factures \"à payer\"", "Personnel", "日本語", "Архив 2025", "Follow-up", "Équipe ⛵ régate",
}

var files = []struct{ name, kind string }{
	{"facture.pdf", "application/pdf"}, {"plan_étage_2.pdf", "application/pdf"}, {"prices.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{"photo chantier.jpg", "image/jpeg"}, {"contrat – signé.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"}, {"export.csv", "text/csv"},
}
