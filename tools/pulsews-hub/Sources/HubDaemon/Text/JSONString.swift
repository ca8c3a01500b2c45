// SPDX-License-Identifier: Apache-2.0

/// A text as a JSON string, quotation marks included.
func jsonString(_ text: String) -> String {
  var out: [UInt8] = [UInt8(ascii: "\"")]
  let digits = Array("0123456789abcdef".utf8)
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
    case 0x0A: out += Array("\\n".utf8)
    case 0x09: out += Array("\\t".utf8)
    case 0x0D: out += Array("\\r".utf8)
    case 0..<0x20, 0x7F: out += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    default: out.append(byte)
    }
  }
  out.append(UInt8(ascii: "\""))
  return String(decoding: out, as: UTF8.self)
}
