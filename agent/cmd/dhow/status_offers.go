package main

import "dhow/agent/api"

// tellOffers says what is on the sticks: the best of it; the others are in the JSON and on the page.
func (s *shell) tellOffers(offers []api.Offer) {
	if len(offers) == 0 {
		return
	}
	r, o := s.words, offers[0]
	line := r.Map("offer."+o.Kind, o.Args)
	if o.Kind == api.OfferInstall {
		line += " " + r.Say("offer.how", "path", o.Path)
	}
	if o.Report != "" {
		line += " " + r.Say("offer.report-"+o.Report)
	}
	s.printf("%s\n", line)
}
