package server

import (
	"context"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"caravan/api/openapi"

	pb "caravan/api/caravanv1"
)

// gateway returns the HTTP/JSON side: the routes of api/proto/http.yaml and
// the OpenAPI document that describes them. It calls this server's own gRPC
// port, so that JSON clients pass the same interceptors as all others.
func (s *Server) gateway(ctx context.Context) (http.Handler, error) {
	conn, err := s.conns.to(s.cfg.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	api := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: false},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
	}))
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		pb.RegisterJobServiceHandler, pb.RegisterNodeServiceHandler, pb.RegisterQueueServiceHandler,
		pb.RegisterCatalogueServiceHandler, pb.RegisterLimitServiceHandler, pb.RegisterEventServiceHandler, pb.RegisterOperatorServiceHandler,
	} {
		if err := register(ctx, api, conn); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openapi.Document)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if id, _ := s.node.Leader(); id == "" {
			http.Error(w, "no leader", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux, nil
}
