package jobspec

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// maxDigits bounds the digits of a number on either side of the point.
const maxDigits = 15

var (
	decimalPattern  = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,15})?$`)
	exponentPattern = regexp.MustCompile(`^[0-9.]+[eE][+-]?[0-9]+$`)
	leadingNumber   = regexp.MustCompile(`^[+-]?[0-9.]*`)
)

// decimal reads an unsigned number without rounding. what names the thing in
// messages, as in "a number of cores".
func decimal(text, what string) (*big.Rat, *SyntaxError) {
	if decimalPattern.MatchString(text) {
		value, ok := new(big.Rat).SetString(text)
		if ok {
			return value, nil
		}
	}
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return nil, wrong("is empty", "write "+what)
	case strings.Trim(lower, "+-.") == "nan" || strings.Trim(lower, "+-.") == "inf":
		return nil, wrong(quote(text)+" is not a quantity", "write "+what)
	case strings.HasPrefix(text, "-"):
		return nil, wrong(quote(text)+" is negative", "leave out the minus sign")
	case exponentPattern.MatchString(text):
		return nil, wrong(quote(text)+" has an exponent", "write all digits")
	case strings.Trim(text, "0123456789._") == "" && strings.Contains(text, "_"):
		return nil, wrong(quote(text)+" has underscores", "write "+strings.ReplaceAll(text, "_", ""))
	case strings.HasPrefix(text, "."):
		return nil, wrong(quote(text)+" lacks the digit before the point", "write 0"+text)
	case len(text) > maxDigits && strings.Trim(text, "0123456789.") == "":
		return nil, wrong(quote(text)+" has too many digits", fmt.Sprintf("write at most %d digits", maxDigits))
	}
	return nil, wrong(quote(text)+" is not a number", "write "+what)
}

// milli reads an unsigned number with at most three decimals as thousandths.
func milli(text, what, unit string) (int64, *SyntaxError) {
	value, err := decimal(text, what)
	if err != nil {
		return 0, err
	}
	value.Mul(value, big.NewRat(1000, 1))
	if !value.IsInt() {
		return 0, wrong(quote(text)+" is finer than a thousandth of "+unit, "write at most three decimals")
	}
	return value.Num().Int64(), nil // 15 digits and three zeros fit
}

// formatMilli is the inverse of milli.
func formatMilli(value int64) string {
	whole, part := value/1000, value%1000
	if part == 0 {
		return strconv.FormatInt(whole, 10)
	}
	return fmt.Sprintf("%d.%s", whole, strings.TrimRight(fmt.Sprintf("%03d", part), "0"))
}

// ParseCPU reads processor cores ("2", "0.5", "500m") as thousandths of a core.
// A failure is a *SyntaxError.
func ParseCPU(text string) (int64, error) {
	value, err := parseCPU(text)
	if err != nil {
		return 0, err
	}
	return value, nil
}

func parseCPU(text string) (int64, *SyntaxError) {
	const what = "cores, as in 2, 0.5 or 500m"
	if digits, ok := strings.CutSuffix(text, "m"); ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
		if len(digits) > maxDigits {
			return 0, wrong(quote(text)+" has too many digits", "write "+what)
		}
		value, _ := strconv.ParseInt(digits, 10, 64) // 15 digits fit
		return value, nil
	}
	return milli(text, what, "a core")
}
