package wire

import (
	"reflect"
	"testing"

	"caravan/scheduler/model"
)

// TestWhatAJobSaysOfPlacesComesBack from the wire as it was.
func TestWhatAJobSaysOfPlacesComesBack(t *testing.T) {
	spec := &model.JobSpec{Name: "x", Queue: "default", Groups: []model.TaskGroup{{
		Name: "g", Indices: model.Count(3), KillGrace: model.Second, Exclusive: true,
		Constraints: []model.Constraint{{Attribute: "node.cpu > 3", Operator: model.Where}},
		Spread:      []model.Spread{{Over: model.DomainZone, MaxSkew: 2}, {Over: model.DomainNode, MaxSkew: 1}},
		Apart: []model.Apart{
			{Over: model.DomainRack}, {Job: "db", Over: model.DomainNode}, {Label: "tier", WithValue: true, Over: model.DomainZone}, {Label: "noisy", Over: model.DomainNode},
		},
		Variants: []model.Variant{{Name: "v", Driver: model.DriverExec, SpeedPermille: 1000, Resources: model.Resources{Devices: []model.DeviceRequest{
			{Kind: model.KindGPU, Count: 1, Thousandths: 100, Media: model.Media{Sessions: 2, EncodeMilli: 250, DecodeMilli: 500}},
			{Kind: model.KindFPGA, Count: 1, Thousandths: 1000, Image: "h264", Constraints: []model.Constraint{{Attribute: "device.memory > 3", Operator: model.Where}}},
		}}}},
	}}}
	got, err := JobSpecFromProto(JobSpecToProto(spec))
	if err != nil || !reflect.DeepEqual(got, spec) {
		t.Errorf("%+v, %v\nwant %+v", got, err, spec)
	}
}
