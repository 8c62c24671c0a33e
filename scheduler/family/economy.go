package family

import (
	"slices"
	"strings"
)

// Bounds of what a site or a machine may cost. They keep every product inside 64 bits.
const (
	maxWatts     = 100_000
	maxPUEMilli  = 10_000
	maxTariff    = 1000 * 1_000_000 // millionths per kWh
	maxPrice     = 1_000_000 * 1_000_000
	maxSites     = 256
	maxZones     = 64
	maxCurrency  = 8 // bytes
	microPerUnit = 1_000_000
)

// Price of a machine in millionths of the catalogue's currency per hour; 0 unknown.
type Price struct {
	OnDemandMicro, SpotMicro int64
}

// Watts are what something draws when it idles and when it is busy; 0 unknown.
type Watts struct {
	Idle, Active int64
}

// Site is a place where machines stand.
type Site struct {
	Name string
	// Zones are the zones of nodes that stand there.
	Zones []string
	// PUEMilli is the power usage effectiveness in thousandths: what the building draws for a watt of
	// a machine. At least 1000.
	PUEMilli int64
	// TariffMicro is the price of a kWh in millionths of the currency.
	TariffMicro int64
}

// EnergyMicroPerHour is what so many watts of a machine cost at the site, cooling included, in
// millionths of the currency per hour.
func (s Site) EnergyMicroPerHour(watts int64) int64 {
	// Watts for an hour are thousandths of a kWh, and the effectiveness is in thousandths too.
	return min(watts, maxWatts) * s.TariffMicro / 1000 * s.PUEMilli / 1000
}

// Currency is what prices are in; "" when there are none.
func (c *Catalogue) Currency() string { return c.currency }

// Sites returns all sites in the order of names.
func (c *Catalogue) Sites() []Site { return c.sites }

// SiteOf returns the site of a zone.
func (c *Catalogue) SiteOf(zone string) (Site, bool) {
	i := slices.IndexFunc(c.sites, func(s Site) bool { return slices.Contains(s.Zones, zone) })
	if i < 0 {
		return Site{}, false
	}
	return c.sites[i], true
}

// Price returns what a type of that full name costs.
func (c *Catalogue) Price(typeName string) Price { return c.prices[typeName] }

// PartWatts returns what one device of a part draws; a part's board limit stands for its busy draw
// where nothing else is known.
func (c *Catalogue) PartWatts(p Part) Watts {
	w := c.deviceWatts[p.Name]
	if w.Active == 0 {
		w.Active = p.Watts
	}
	return w
}

// Watts returns what a machine of a type draws with its devices: 0 when the draw of the host, or of
// any device, is unknown.
func (c *Catalogue) Watts(t Type) Watts {
	sum, known := c.hostWatts[t.Name]
	if !known {
		sum = c.hostWatts[t.Family]
	}
	for _, s := range t.Devices {
		w := c.PartWatts(s.Part)
		sum.Idle = plus(sum.Idle, w.Idle*s.Thousandths/Whole)
		sum.Active = plus(sum.Active, w.Active*s.Thousandths/Whole)
	}
	return sum
}

// plus adds two amounts, of which 0 is unknown.
func plus(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// economy checks and enters prices, power and sites.
func (b *builder) economy(c *Catalogue, raw rawCatalogue) {
	if raw.Currency != "" {
		c.currency = raw.Currency
	}
	if len(c.currency) > maxCurrency {
		b.fail([]any{"currency"}, "currency %q is longer than %d characters", c.currency, maxCurrency)
	}
	if c.currency == "" && len(raw.Prices)+len(raw.Sites) > 0 {
		b.fail([]any{"currency"}, "prices and tariffs need a currency, such as currency: EUR")
	}
	for _, name := range sortedKeys(raw.Prices) {
		b.price(c, name, raw.Prices[name])
	}
	for _, name := range sortedKeys(raw.Power.Hosts) {
		at := []any{"power", "hosts", name}
		if w, ok := b.watts(raw.Power.Hosts[name], at); ok {
			if f, err := c.Family(name); err == nil {
				c.hostWatts[f.Name] = w
			} else if t, err := c.Type(name); err == nil {
				c.hostWatts[t.Name] = w
			} else {
				b.fail(append(at, "idle_watts"), "%v", err)
			}
		}
	}
	for _, name := range sortedKeys(raw.Power.Devices) {
		at := []any{"power", "devices", name}
		if w, ok := b.watts(raw.Power.Devices[name], at); ok {
			if _, err := c.Part(name); err != nil {
				b.fail(append(at, "idle_watts"), "%v", err)
			}
			c.deviceWatts[name] = w
		}
	}
	b.sites(c, raw.Sites)
}

func (b *builder) price(c *Catalogue, name string, raw rawPrice) {
	at := []any{"prices", name, "on_demand"}
	if _, isFamily := c.families[name]; isFamily {
		b.fail(at, "%s is a family: give the price of a type, such as %s", name, c.families[name].Largest().Name)
		return
	}
	t, err := c.Type(name)
	switch {
	case err != nil:
		b.fail(at, "%v", err)
	case raw.OnDemand.micro == 0 && raw.Spot.micro == 0:
		b.fail([]any{"prices", name}, "%s needs on_demand, spot, or both", name)
	case raw.OnDemand.micro > maxPrice || raw.Spot.micro > maxPrice:
		b.fail(at, "an hour of %s costs more than %d", name, maxPrice/microPerUnit)
	case raw.OnDemand.micro > 0 && raw.Spot.micro > raw.OnDemand.micro:
		b.fail([]any{"prices", name, "spot"}, "the spot price of %s is above the one on demand", name)
	default:
		c.prices[t.Name] = Price{OnDemandMicro: raw.OnDemand.micro, SpotMicro: raw.Spot.micro}
	}
}

// watts checks what something draws.
func (b *builder) watts(raw rawWatts, at []any) (Watts, bool) {
	switch {
	case raw.Idle <= 0 || raw.Active > maxWatts:
		b.fail(append(at, "idle_watts"), "idle_watts is %d and active_watts %d, but must be from 1 to %d", raw.Idle, raw.Active, maxWatts)
	case raw.Active < raw.Idle:
		b.fail(append(at, "active_watts"), "active_watts is %d, less than the %d of idle_watts", raw.Active, raw.Idle)
	default:
		return Watts{Idle: raw.Idle, Active: raw.Active}, true
	}
	return Watts{}, false
}

func (b *builder) sites(c *Catalogue, raw map[string]rawSite) {
	if len(raw) > maxSites {
		b.fail([]any{"sites"}, "%d sites, at most %d", len(raw), maxSites)
		return
	}
	for _, name := range sortedKeys(raw) {
		r, at := raw[name], []any{"sites", name}
		if len(r.Zones) > maxZones {
			b.fail(append(at, "zones"), "site %s has %d zones, at most %d", name, len(r.Zones), maxZones)
		}
		if r.PUE.milli < Whole || r.PUE.milli > maxPUEMilli {
			b.fail(append(at, "pue"), "pue of site %s is %d.%03d, but must be from 1 to %d", name, r.PUE.milli/Whole, r.PUE.milli%Whole, maxPUEMilli/Whole)
		}
		if r.Tariff.micro > maxTariff {
			b.fail(append(at, "tariff_per_kwh"), "a kWh costs more than %d at site %s", maxTariff/microPerUnit, name)
		}
		for i, zone := range r.Zones {
			if other, taken := c.SiteOf(zone); taken {
				b.fail(append(at, "zones", i), "zone %s is at site %s already", zone, other.Name)
			}
		}
		c.sites = append(c.sites, Site{Name: name, Zones: r.Zones, PUEMilli: r.PUE.milli, TariffMicro: r.Tariff.micro})
	}
	slices.SortFunc(c.sites, func(a, b Site) int { return strings.Compare(a.Name, b.Name) })
}
