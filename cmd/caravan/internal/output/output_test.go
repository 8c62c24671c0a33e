package output_test

import (
	"bytes"
	"testing"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/output"
)

func TestMessagesAreWrittenWithAllTheirFields(t *testing.T) {
	m := &pb.RetryJobResponse{Tasks: 3}
	for format, want := range map[output.Format]string{
		output.JSON: "{\n  \"job\": null,\n  \"tasks\": \"3\"\n}\n",
		output.YAML: "job: null\ntasks: \"3\"\n",
	} {
		var b bytes.Buffer
		if err := output.Message(&b, format, m); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s: got %q, want %q", format, b.String(), want)
		}
	}
	var b bytes.Buffer
	if err := output.Line(&b, m); err != nil || b.String() != "{\"job\":null,\"tasks\":\"3\"}\n" {
		t.Errorf("line: got %q, %v", b.String(), err)
	}
}

func TestOnlyKnownFormatsAreTaken(t *testing.T) {
	f := output.Table
	if err := f.Set("xml"); err == nil || err.Error() != "must be one of table, wide, name, json, yaml" {
		t.Errorf("got %v", err)
	}
	if err := f.Set("json"); err != nil || f != output.JSON {
		t.Errorf("got %v, %v", f, err)
	}
}
