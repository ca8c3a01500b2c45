// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

extension JSONText {
  /// ns since 1970 as ms with three decimals, which a double holds; null for not known.
  @inline(never) static func appendMilliseconds(_ nanoseconds: Int64, to out: inout [UInt8]) {
    if nanoseconds <= 0 { return append("null", to: &out) }
    let micros = UInt64(nanoseconds / 1000)
    appendNumber(micros / 1000, to: &out)
    append(".", to: &out)
    appendThree(micros % 1000, to: &out)
  }

  /// A duration in ns as seconds with up to three decimals.
  @inline(never) static func appendSeconds(_ nanoseconds: Int64, to out: inout [UInt8]) {
    let millis = UInt64(max(0, nanoseconds) / 1_000_000)
    appendNumber(millis / 1000, to: &out)
    if millis % 1000 == 0 { return }
    append(".", to: &out)
    appendThree(millis % 1000, to: &out)
    while out.last == UInt8(ascii: "0") { out.removeLast() }
  }

  private static func appendThree(_ number: UInt64, to out: inout [UInt8]) {
    if number < 100 { append("0", to: &out) }
    if number < 10 { append("0", to: &out) }
    appendNumber(number, to: &out)
  }
}

extension JSONString {
  @inline(never) func equals(_ text: Literal) -> Bool { equals(UnsafeRawBufferPointer(text.bytes)) }
}
