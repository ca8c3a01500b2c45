// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What proxies say of their clients: a byte that chooses, then the bytes.
func fuzzForwarded(_ bytes: UnsafeRawBufferPointer) {
  guard let kind = bytes.first else { return }
  let input = UnsafeRawBufferPointer(rebasing: bytes[1...])
  switch kind % 3 {
  case 0: fuzzProxyHeader(input)
  case 1: fuzzAddress([UInt8](input))
  default: fuzzHops([UInt8](input))
  }
}

/// A header that is whole stays what it is with bytes behind it; one that is cut needs more, until it fails.
private func fuzzProxyHeader(_ input: UnsafeRawBufferPointer) {
  var hasFailed = false
  var size: Int?
  for count in 0...min(input.count, 600) {
    // Memory of its own, so that a read behind it is seen.
    let part = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
    defer { part.deallocate() }
    part.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
    switch ProxyProtocol.parse(UnsafeRawBufferPointer(part)) {
    case .needsMore: fuzzRequire(!hasFailed && size == nil && count < ProxyProtocol.maxSize, "more is needed again, or too much")
    case .failed(let why):
      fuzzRequire(size == nil, "a whole header fails")
      fuzzRequirePlain(why.description)
      hasFailed = true
    case .address(_, _, let used), .local(let used):
      fuzzRequire(!hasFailed && used <= count && (size == nil ? used == count : used == size), "another size")
      size = used
    }
  }
}

private func fuzzAddress(_ text: [UInt8]) {
  var proxies = TrustedProxies()
  if let why = proxies.add(text) { fuzzRequirePlain(why) }
  fuzzRequire(!proxies.isEmpty || !proxies.trusts(IPAddress(high: 0, low: 1)), "trust in nobody")
  if text.contains(0) { return }
  var bytes = [UInt8](repeating: 0, count: 16)
  let name = text.map { CChar(bitPattern: $0) } + [0]
  var expected: IPAddress?
  func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
  if inet_pton(AF_INET, name, &bytes) == 1 {
    expected = IPAddress(ipv4: UInt32(number(0..<4)))
  } else if inet_pton(AF_INET6, name, &bytes) == 1 {
    expected = IPAddress(high: number(0..<8), low: number(8..<16))
  }
  fuzzRequire(IPAddress.parse(text[...]) == expected, "the system reads another address")
}

/// Lines are headers.
private func fuzzHops(_ text: [UInt8]) {
  var proxies = TrustedProxies()
  fuzzRequire(proxies.add(Array("10.0.0.0/8".utf8)) == nil, "a block is refused")
  var head = HTTPHead()
  let name = Array("X-Forwarded-For".utf8)
  for line in text.split(separator: 10, omittingEmptySubsequences: false).prefix(40) {
    let start = head.bytes.count
    head.bytes += name + line
    head.fields.append(.init(name: start..<(start + name.count), value: (start + name.count)..<head.bytes.count))
  }
  switch ForwardedFor.client(of: head, peer: IPAddress(ipv4: 0x0A00_0001), trusted: proxies) {
  case .peer: fuzzRequire(false, "a header is passed over")
  case .client(let client): fuzzRequire(!proxies.trusts(client) || text.count > 4, "a proxy for a client")
  case .refused(let refusal): fuzzRequirePlain(String(decoding: refusal.message.bytes, as: UTF8.self))
  }
}
