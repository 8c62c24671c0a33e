// Package openapi holds the OpenAPI 2.0 document of the HTTP/JSON interface,
// generated from api/proto.
package openapi

import _ "embed"

// Document is the document as JSON. It must not be changed.
//
//go:embed caravan.swagger.json
var Document []byte
