// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// What a client offers with its request for an upgrade, once that is known to be as RFC 6455 §4.2.1 wants it.
package final class UpgradeOffer {
  /// A browser can't send an Authorization header; the token stands beside the subprotocol instead, as
  /// "pulse.token." and the token in base64 for URLs. It is never echoed.
  private static let tokenMark: Literal = "pulse.token."
  package static let maxTokenSize = 8 << 10

  package let info: UpgradeRequestInfo
  /// Without the token, in the order of the client's preference.
  package let subprotocols: [String]
  package let token: [UInt8]?

  private init(info: UpgradeRequestInfo, subprotocols: [String], token: [UInt8]?) {
    self.info = info
    self.subprotocols = subprotocols
    self.token = token
  }

  @inline(never) package static func read(_ request: Request) -> Result<UpgradeOffer, Refusal> {
    let info: UpgradeRequestInfo
    switch UpgradeRequestInfo.judge(request.head) {
    case .failure(let failure): return .failure(Refusal(failure))
    case .success(let found): info = found
    }
    var names: [String] = []
    var token: [UInt8]?
    for name in info.subprotocols {
      let bytes = name.bytes
      guard tokenMark.begins(bytes[...]) else {
        names.append(name)
        continue
      }
      if token != nil { return .failure(refuse("has two tokens")) }
      guard let decoded = Base64.decodeURL(bytes[tokenMark.count...]), !decoded.isEmpty else {
        return .failure(refuse("has a token that is not in base64 for URLs"))
      }
      if decoded.count > maxTokenSize { return .failure(refuse("has a token of more than \(maxTokenSize) bytes")) }
      token = decoded
    }
    return .success(UpgradeOffer(info: info, subprotocols: names, token: token))
  }

  private static func refuse(_ what: Sentence) -> Refusal { .badRequest("Sec-WebSocket-Protocol \(what)") }
}
