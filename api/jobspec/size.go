package jobspec

import (
	"fmt"
	"math/big"
	"strings"
)

// sizeUnit gives the bytes of a unit. Case does not matter, and the B of the
// binary units may be left out, as Kubernetes writes them.
func sizeUnit(unit string) (bytes int64, ok bool) {
	switch strings.ToLower(unit) {
	case "kib", "ki":
		return 1 << 10, true
	case "mib", "mi":
		return 1 << 20, true
	case "gib", "gi":
		return 1 << 30, true
	case "tib", "ti":
		return 1 << 40, true
	case "kb":
		return 1e3, true
	case "mb":
		return 1e6, true
	case "gb":
		return 1e9, true
	case "tb":
		return 1e12, true
	}
	return 0, false
}

// ParseSize reads a memory or disk size ("512MiB", "1.5GiB", "2GB") as MiB,
// rounded up. A failure is a *SyntaxError.
func ParseSize(text string) (int64, error) {
	value, err := parseSize(text)
	if err != nil {
		return 0, err
	}
	return value, nil
}

func parseSize(text string) (int64, *SyntaxError) {
	number := leadingNumber.FindString(text)
	unit := strings.TrimSpace(text[len(number):])
	if strings.Trim(number, ".") == "" || strings.ContainsAny(number, "+-") {
		if _, err := decimal(text, "a size, as in 512MiB"); err != nil {
			return 0, err
		}
	}
	value, err := decimal(number, "a size, as in 512MiB")
	if err != nil {
		return 0, err
	}
	bytes, ok := sizeUnit(unit)
	if !ok {
		return 0, unitError(text, number, unit)
	}
	value.Mul(value, big.NewRat(bytes, 1<<20))
	mib, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		mib.Add(mib, big.NewInt(1))
	}
	if !mib.IsInt64() {
		return 0, wrong(quote(text)+" is too large", "write a smaller size")
	}
	return mib.Int64(), nil
}

// unitError tells a missing unit from one that could mean two things and from
// one that does not exist.
func unitError(text, number, unit string) *SyntaxError {
	at := &SyntaxError{Col: len([]rune(text)) - len([]rune(unit)) + 1, Width: len([]rune(unit))}
	switch strings.ToLower(unit) {
	case "":
		likely := "GiB"
		if len(number) > 2 {
			likely = "MiB" // nobody asks for hundreds of GiB as often as for hundreds of MiB
		}
		return wrong(quote(text)+" has no unit", fmt.Sprintf("write a unit, as in %s%s", number, likely))
	case "k", "m", "g", "t":
		up := strings.ToUpper(unit)
		at.Message = fmt.Sprintf("the unit %q could mean %siB or %sB", unit, up, up)
		at.Hint = fmt.Sprintf("write %s%siB (1024 based) or %s%sB (1000 based)", number, up, number, up)
	case "b", "bytes", "byte":
		at.Message = fmt.Sprintf("the unit %q is too fine", unit)
		at.Hint = "write KiB, MiB, GiB or TiB"
	default:
		at.Message = fmt.Sprintf("%s is not a unit of size", quote(unit))
		at.Hint = "write KiB, MiB, GiB, TiB (1024 based) or KB, MB, GB, TB (1000 based)"
	}
	return at
}

// formatSize writes MiB in the largest binary unit that keeps it whole.
func formatSize(mib int64) string {
	switch {
	case mib != 0 && mib%(1<<20) == 0:
		return fmt.Sprintf("%dTiB", mib>>20)
	case mib != 0 && mib%(1<<10) == 0:
		return fmt.Sprintf("%dGiB", mib>>10)
	}
	return fmt.Sprintf("%dMiB", mib)
}
