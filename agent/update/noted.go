package update

import (
	"context"

	"dhow/agent/api"
)

// maxReceipt bounds what is kept of a receipt, in bytes.
const maxReceipt = 100

// Noted keeps that a person has taken note of how an update ended: the page does not say it again, also after a restart.
func (m *Manager) Noted(_ context.Context, receipt string) error {
	if len(receipt) > maxReceipt {
		return api.Fail(api.CodeUsage, "", "this is no receipt")
	}
	return m.Journal.SetFact(factNoted, receipt)
}

// noted is the receipt of which a person has taken note last.
func (m *Manager) noted() (receipt string, err error) {
	_, err = m.Journal.Fact(factNoted, &receipt)
	return receipt, err
}
