// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Whether a client has the file already, and which part of it it wants (RFC 9110 §13.2.2, §14.2).
struct Conditions {
  enum Verdict {
    case whole, notModified, failed, unsatisfiable
    case part(Range<Int64>)
  }

  /// Changes with the content: every write moves the time, and a file that takes another's place has another inode.
  let etag: [UInt8]
  /// Seconds since 1970; never in the future, where no client could compare it (§8.8.2.1).
  let modified: Int64
  private let request: Request
  private let size: Int64

  init(_ request: Request, _ file: FileFacts, now: Int64) {
    self.request = request
    size = max(file.size, 0)
    modified = max(min(file.modified / 1_000_000_000, now), 0)
    var etag: [UInt8] = [UInt8(ascii: "\"")]
    Self.appendHex(UInt64(size), to: &etag)
    etag.add(UInt8(ascii: "-"))
    Self.appendHex(UInt64(bitPattern: file.modified), to: &etag)
    etag.add(UInt8(ascii: "-"))
    Self.appendHex(file.inode, to: &etag)
    etag.add(UInt8(ascii: "\""))
    self.etag = etag
  }

  @inline(never) private static func appendHex(_ value: UInt64, to out: inout [UInt8]) {
    let hex: Literal = "0123456789abcdef"
    var shift: UInt64 = 60
    while shift > 0, value >> shift == 0 { shift -= 4 }
    while true {
      out.add(hex.start[Int(value >> shift & 15)])
      if shift == 0 { return }
      shift -= 4
    }
  }

  /// In the order of §13.2.2.
  var verdict: Verdict {
    if request.head.count(of: "if-match") > 0 {
      if !lists("if-match", weakly: false) { return .failed }
    } else if let date = date("if-unmodified-since"), modified > date {
      return .failed
    }
    if request.head.count(of: "if-none-match") > 0 {
      if lists("if-none-match", weakly: true) { return .notModified }
    } else if let date = date("if-modified-since"), modified <= date {
      return .notModified
    }
    guard request.method == .get, let range = request.header("range"), request.head.count(of: "range") == 1, ifRangeHolds
    else { return .whole }
    return part(range)
  }

  private func date(_ name: Literal) -> Int64? {
    guard let value = request.header(name) else { return nil }
    return HTTPDate.seconds(Array(value))
  }

  /// "*", or one of a list of tags; this server's have no commas. Compared weakly, a mark for a weak one is passed over
  /// (§8.8.3.2).
  private func lists(_ name: Literal, weakly: Bool) -> Bool {
    for tag in request.head.list(of: name) {
      if HTTPText.same(tag, Literal("*")) { return true }
      let isWeak = Literal("W/").begins(tag)
      if isWeak, !weakly { continue }
      if HTTPText.same(isWeak ? tag.dropFirst(2) : tag, etag[...]) { return true }
    }
    return false
  }

  /// §13.1.5: the range is of the file that the client knows, or the whole is sent.
  private var ifRangeHolds: Bool {
    guard let value = request.header("if-range") else { return true }
    if HTTPText.same(value, etag[...]) { return true }
    return HTTPDate.seconds(Array(value)) == modified
  }

  /// "bytes=0-99", "bytes=100-", "bytes=-50". Several ranges, other units and what is malformed are answered with the
  /// whole file, as §14.2 allows.
  private func part(_ value: ArraySlice<UInt8>) -> Verdict {
    guard HTTPText.startsIgnoringCase(value, "bytes=") else { return .whole }
    let spec = HTTPText.trimmed(value.dropFirst(6))
    guard let dash = spec.firstIndex(of: UInt8(ascii: "-")) else { return .whole }
    let (first, last) = (spec[..<dash], spec[(dash + 1)...])
    if first.isEmpty {
      guard let count = Self.number(last) else { return .whole }
      return count == 0 || size == 0 ? .unsatisfiable : .part(max(size - count, 0)..<size)
    }
    guard let from = Self.number(first) else { return .whole }
    var end = size
    if !last.isEmpty {
      guard let to = Self.number(last), to >= from else { return .whole }
      end = to < size ? to + 1 : size
    }
    return from >= size ? .unsatisfiable : .part(from..<end)
  }

  /// Digits only. What is too large for a number is the largest, as no file is.
  @inline(never) private static func number(_ digits: ArraySlice<UInt8>) -> Int64? {
    if digits.isEmpty { return nil }
    for byte in digits where !HTTPText.isDigit(byte) { return nil }
    return Int64(HTTPText.decimal(digits, limit: Int.max) ?? Int.max)
  }
}
