// SPDX-License-Identifier: Apache-2.0
import PulseText

/// How far the server's handshake is.
package enum UpgradeRequestProgress {
  /// The whole chunk is used.
  case needMoreBytes
  case request(UpgradeRequestInfo)
  case failed(UpgradeRequestFailure)
}

/// A valid request for an upgrade.
package struct UpgradeRequestInfo: Sendable {
  /// Path and query; of a target with scheme and host only these.
  package var target: String
  package var host: String
  package var headers: [HTTPHeader]
  /// In the order of the client's preference.
  package var subprotocols: [String]
  /// Those that are valid, in the order of the client's preference.
  package var deflateOffers: [DeflateOffer]
  /// The value of Sec-WebSocket-Accept.
  package var accept: String
  /// How many bytes of the chunk that completed the request belong to it; the rest are frames.
  package var consumed: Int
}

package struct UpgradeRequestFailure: Sendable {
  /// What to answer; 0 when the peer does not speak HTTP/1, so that the connection is to be closed without an answer.
  package var status: Int
  /// Headers that belong to that status.
  package var headers: [HTTPHeader] = []
  /// One sentence, without control characters.
  package var text: String
}

/// The server's half of the handshake: reads the client's request (RFC 6455 §4.2.1) as it arrives. Not thread safe.
package final class UpgradeRequestParser {
  private var parser: HTTPHeadParser
  private var result: UpgradeRequestProgress?

  package init(maxSize: Int = 64 << 10) { parser = HTTPHeadParser(.request, maxSize: maxSize) }

  /// The end is final: later calls return it again, without looking at the bytes.
  package func receive(_ bytes: UnsafeRawBufferPointer) -> UpgradeRequestProgress {
    if let result { return result }
    var offset = 0
    switch parser.receive(bytes, from: &offset) {
    case .needMoreBytes:
      return .needMoreBytes
    case .failed(let failure):
      return end(.failed(UpgradeRequestFailure(status: failure.status, text: sentence(failure.text))))
    case .complete:
      switch Self.judge(parser.head) {
      case .success(var info):
        info.consumed = offset
        return end(.request(info))
      case .failure(let failure):
        return end(.failed(failure))
      }
    }
  }

  private func end(_ progress: UpgradeRequestProgress) -> UpgradeRequestProgress {
    if case .request(var info) = progress {
      info.consumed = 0
      result = .request(info)
    } else {
      result = progress
    }
    parser = HTTPHeadParser(.request, maxSize: 0)
    return progress
  }

  // MARK: Judging the head

  private static func judge(_ head: HTTPHead) -> Result<UpgradeRequestInfo, UpgradeRequestFailure> {
    if !HTTPText.same(head.bytes[head.method], "GET") {
      return failure(
        405, "the method is \(quoted: head.bytes[head.method]) instead of GET", [("Allow", "GET")])
    }
    if head.minorVersion != 1 { return failure(505, "the request is HTTP/1.0, which knows no upgrade") }
    guard let target = originForm(head.bytes[head.target]) else {
      return failure(400, "the target \(quoted: head.bytes[head.target]) is not a path")
    }
    // RFC 9112 §3.2: exactly one Host.
    guard head.count(of: "host") == 1, let host = head.value(of: "host"), isHost(host) else {
      return failure(400, "the request has not exactly one valid Host header")
    }
    // A body could be read as frames by one side and as a body by another (RFC 9112 §11.2).
    if head.count(of: "transfer-encoding") > 0 || !hasNoBody(head) {
      return failure(400, "the request has a body")
    }
    if !head.list(of: "upgrade", has: "websocket") || !head.list(of: "connection", has: "upgrade") {
      return failure(
        426, "the request does not ask for an upgrade to websocket",
        [("Upgrade", "websocket"), ("Connection", "Upgrade")])
    }
    // RFC 6455 §4.4: says which version is understood.
    guard head.count(of: "sec-websocket-version") == 1, let version = head.value(of: "sec-websocket-version"),
      HTTPText.same(version, "13")
    else {
      return failure(
        426, "Sec-WebSocket-Version is not 13",
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")])
    }
    guard head.count(of: "sec-websocket-key") == 1, let key = head.value(of: "sec-websocket-key"), key.count == 24,
      Base64.decode(Array(key))?.count == 16
    else {
      return failure(400, "the request has not exactly one Sec-WebSocket-Key of 16 bytes in base64")
    }

    var info = UpgradeRequestInfo(
      target: HTTPText.string(target), host: HTTPText.string(host), headers: head.headers, subprotocols: [],
      deflateOffers: [], accept: String(bytes: UpgradeKey.accept(Array(key))), consumed: 0)
    for name in head.list(of: "sec-websocket-protocol") {
      // RFC 6455 §4.1: tokens, each once.
      guard HTTPText.isToken(name), !info.subprotocols.contains(where: { HTTPText.same(name, $0) }) else {
        return failure(400, "Sec-WebSocket-Protocol has \(quoted: name), which is no token or there twice")
      }
      if info.subprotocols.count >= HeaderCheck.maxCount {
        return failure(400, "Sec-WebSocket-Protocol has more than \(HeaderCheck.maxCount) names")
      }
      info.subprotocols.append(HTTPText.string(name))
    }
    for field in head.fields
    where HTTPText.sameIgnoringCase(head.bytes[field.name], "sec-websocket-extensions") {
      // RFC 6455 §9.1: what is malformed fails the connection, what is merely unknown is ignored.
      guard let offers = DeflateNegotiation.offers(in: head.bytes[field.value]) else {
        return failure(400, "Sec-WebSocket-Extensions is malformed: \(quoted: head.bytes[field.value])")
      }
      info.deflateOffers += offers
    }
    return .success(info)
  }

  private static func failure(
    _ status: Int, _ text: Sentence, _ headers: [HTTPHeader] = []
  ) -> Result<UpgradeRequestInfo, UpgradeRequestFailure> {
    .failure(UpgradeRequestFailure(status: status, headers: headers, text: sentence(text)))
  }

  private static func hasNoBody(_ head: HTTPHead) -> Bool {
    let lengths = head.list(of: "content-length")
    for value in lengths where !HTTPText.same(value, "0") { return false }
    return lengths.count == head.count(of: "content-length")
  }

  /// RFC 9112 §3.2.1 and §3.2.2: a path with a query, also behind scheme and host. A fragment is never sent.
  private static func originForm(_ target: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    if target.contains(UInt8(ascii: "#")) { return nil }
    if target.first == UInt8(ascii: "/") { return target }
    let rest: ArraySlice<UInt8>
    if HTTPText.startsIgnoringCase(target, "http://") {
      rest = target.dropFirst(7)
    } else if HTTPText.startsIgnoringCase(target, "https://") {
      rest = target.dropFirst(8)
    } else {
      return nil
    }
    guard let path = rest.firstIndex(of: UInt8(ascii: "/")), path > rest.startIndex else { return nil }
    return rest[path...]
  }

  /// The characters of RFC 3986 §3.2.2 and §3.2.3; no user, no path.
  private static func isHost(_ host: ArraySlice<UInt8>) -> Bool {
    if host.isEmpty { return false }
    for byte in host {
      switch byte {
      case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "("), UInt8(ascii: ")"),
        UInt8(ascii: ";"), UInt8(ascii: "="):
        continue
      case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"):
        return false
      default:
        if !HTTPText.isToken(byte) { return false }
      }
    }
    return true
  }
}

extension UpgradeRequestFailure: Error {}
