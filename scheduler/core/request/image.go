package request

import (
	"slices"

	"caravan/scheduler/model"
)

// Loaded returns the variant with the wish that its images are loaded already
// made a condition; ok is false when it asks for none.
func Loaded(v *model.Variant) (loaded *model.Variant, ok bool) {
	asks := func(d model.DeviceRequest) bool { return d.Image != "" }
	if !slices.ContainsFunc(v.Resources.Devices, asks) {
		return nil, false
	}
	w := *v
	w.Resources.Devices = slices.Clone(v.Resources.Devices)
	for i := range w.Resources.Devices {
		if d := &w.Resources.Devices[i]; asks(*d) {
			is := model.Constraint{Attribute: model.AttributeImage, Operator: model.In, Values: []model.Attribute{model.Text(d.Image)}}
			d.Constraints = append(slices.Clone(d.Constraints), is)
		}
	}
	return &w, true
}
