package client

import (
	"errors"

	"caravan/api/caravanv1"
)

// Client is a connection to a cluster. It is safe for concurrent use. The
// fields are the services of the contract with failover and retry built in.
type Client struct {
	Jobs   caravanv1.JobServiceClient
	Nodes  caravanv1.NodeServiceClient
	Queues caravanv1.QueueServiceClient
	Limits caravanv1.LimitServiceClient
	Events caravanv1.EventServiceClient
	// Catalogue of instance families.
	Catalogue caravanv1.CatalogueServiceClient
	Operator  caravanv1.OperatorServiceClient
	Blobs     caravanv1.BlobServiceClient

	failover *failover
}

// New returns a client. It does not wait for a connection; the first call does.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f, err := newFailover(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{
		Jobs:      caravanv1.NewJobServiceClient(f),
		Nodes:     caravanv1.NewNodeServiceClient(f),
		Queues:    caravanv1.NewQueueServiceClient(f),
		Limits:    caravanv1.NewLimitServiceClient(f),
		Events:    caravanv1.NewEventServiceClient(f),
		Catalogue: caravanv1.NewCatalogueServiceClient(f),
		Operator:  caravanv1.NewOperatorServiceClient(f),
		Blobs:     caravanv1.NewBlobServiceClient(f),
		failover:  f,
	}, nil
}

// Close closes every connection; calls under way fail.
func (c *Client) Close() error {
	var errs []error
	for _, s := range c.failover.servers {
		errs = append(errs, s.conn.Close())
	}
	return errors.Join(errs...)
}
