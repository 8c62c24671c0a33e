package model

import "fmt"

// neighbours checks what a group says of the tasks around its own.
func (v *validator) neighbours(path string, g *TaskGroup) {
	v.atMost(path+".spread", int64(len(g.Spread)), MaxRules, "rules")
	v.atMost(path+".apart_from", int64(len(g.Apart)), MaxRules, "rules")
	for i := range g.Spread {
		at, s := fmt.Sprintf("%s.spread[%d]", path, i), &g.Spread[i]
		v.domain(at+".over", s.Over)
		v.between(at+".max_skew", int64(s.MaxSkew), 1, MaxTasks)
	}
	for i := range g.Apart {
		at, a := fmt.Sprintf("%s.apart_from[%d]", path, i), &g.Apart[i]
		v.domain(at+".over", a.Over)
		if a.Job != "" && a.Label != "" {
			v.fault(at, "names a job and a label", "make two rules of it: both will hold")
		}
	}
}

func (v *validator) domain(path string, d Domain) {
	if d < DomainNode || d > DomainZone {
		v.fault(path, "no such domain", "use node, rack or zone")
	}
}

// engines checks what a device request says of images and video engines.
func (v *validator) engines(path string, d *DeviceRequest) {
	if d.Image != "" && d.Kind != KindFPGA {
		v.fault(path+".image", "a "+d.Kind+" takes no image", "ask for an fpga")
	}
	v.atMost(path+".image", int64(len(d.Image)), MaxImageName, "bytes of name")
	v.between(path+".encoder_sessions", int64(d.Media.Sessions), 0, MaxSessions)
	v.between(path+".encode_milli", int64(d.Media.EncodeMilli), 0, maxMedia)
	v.between(path+".decode_milli", int64(d.Media.DecodeMilli), 0, maxMedia)
	if d.Media != (Media{}) && d.Kind != KindGPU {
		v.fault(path, "a "+d.Kind+" has no video engines", "ask for a gpu")
	}
}
