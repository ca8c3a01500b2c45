// SPDX-License-Identifier: Apache-2.0

extension String {
  /// Byte by byte: `replacing` goes by characters, and a mark behind a word makes its last letter another one.
  func replacingBytes(of old: String, with new: String) -> String {
    let (wanted, bytes) = (Array(old.utf8), Array(utf8))
    guard let first = wanted.first, wanted.count <= bytes.count else { return self }
    var out: [UInt8] = []
    var at = 0
    while at < bytes.count {
      if bytes[at] == first, bytes[at...].starts(with: wanted) {
        out += Array(new.utf8)
        at += wanted.count
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
