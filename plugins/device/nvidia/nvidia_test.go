package nvidia

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"caravan/plugins/sdk/pluginv1"
)

func TestModelsAreCalledAsInTheCatalogue(t *testing.T) {
	for name, want := range map[string]string{
		"Tesla M40": "M40", "Tesla M40 24GB": "M40", "Tesla P100-PCIE-16GB": "P100", "Tesla V100-SXM2-16GB": "V100", "Tesla T4": "T4",
		"NVIDIA A100-SXM4-40GB": "A100", "NVIDIA H100 80GB HBM3": "H100", "NVIDIA GH200 480GB": "GH200", "NVIDIA L40S": "L40S", "A10": "A10",
		"GRID T4-8Q": "T4", "NVIDIA GeForce RTX 3090": "RTX-3090", "NVIDIA RTX A6000": "RTX-A6000", "Quadro P4000": "P4000", "NVIDIA TITAN V": "TITAN-V",
		"Graphics Device": "Graphics-Device", "NVIDIA": "NVIDIA", "": "unknown",
	} {
		if got := model(name); got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
}

func TestAnEventIsToldForAWhileAndCountedOnceForBothSources(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLedger(time.Minute, func() time.Time { return now })
	l.note("GPU-1", "xid-79", "", fromNVML)
	l.note("GPU-1", "xid-79", "GPU has fallen off the bus", fromKernel)
	l.note("GPU-1", "xid-79", "again", fromKernel)
	l.note("GPU-2", "xid-13", "", fromNVML)
	want := []*pluginv1.Signal{{Code: "xid-79", Detail: "again", Count: 2}}
	if diff := cmp.Diff(want, l.signals("GPU-1"), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	now = now.Add(time.Minute)
	if left := l.signals("GPU-1"); len(left) != 0 {
		t.Errorf("a minute later there is %v", left)
	}
	l.note("GPU-1", "xid-79", "once more", fromKernel)
	if again := l.signals("GPU-1"); len(again) != 1 || again[0].Count != 3 {
		t.Errorf("when it comes again it is %v, and its count has not grown", again)
	}
}

func TestTheLedgerIsBounded(t *testing.T) {
	l := newLedger(time.Minute, time.Now)
	for n := range uint64(2 * maxCodes) {
		l.note("GPU-1", xidCode(n), "", fromNVML)
	}
	if n := len(l.signals("GPU-1")); n != maxCodes {
		t.Errorf("%d codes are remembered, at most %d", n, maxCodes)
	}
}

func TestVideoEnginesAreOffered(t *testing.T) {
	encoder := map[string]int64{"h264": 100}
	for name, tc := range map[string]struct {
		gpu  GPU
		want [3]int64
	}{
		"Tesla M40":      {GPU{Name: "Tesla M40", Encoder: encoder}, [3]int64{32, 2, 1}},
		"A100":           {GPU{Name: "NVIDIA A100-SXM4-40GB"}, [3]int64{0, 0, 5}},
		"an instance":    {GPU{Name: "NVIDIA A100-SXM4-40GB", MIG: &MIG{Enabled: true}}, [3]int64{}},
		"a GeForce":      {GPU{Name: "NVIDIA GeForce RTX 3090", Encoder: encoder}, [3]int64{8, 1, 1}},
		"an unknown one": {GPU{Name: "NVIDIA X1"}, [3]int64{0, 0, 1}},
	} {
		a := make(map[string]*pluginv1.Attribute)
		media(tc.gpu, a)
		for i, attribute := range []string{"encoder_sessions", "encode", "decode"} {
			if got := a[attribute].GetMilli() / 1000; got != tc.want[i] {
				t.Errorf("%s offers %s %d, want %d", name, attribute, got, tc.want[i])
			}
		}
	}
}
