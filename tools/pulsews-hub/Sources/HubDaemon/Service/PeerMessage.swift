// SPDX-License-Identifier: Apache-2.0

/// What a service says over its WebSocket, and where it goes.
struct PeerMessage: Equatable {
  let topic: String
  let key: String?

  struct Refusal: Error, Equatable {
    let code: String
    let sentence: String
  }

  /// The topic that a message is for; not yet whether its peer may. `statusTopic`: of a signal with that id.
  static func read(_ data: [UInt8], _ portfolio: PortfolioConfig?, statusTopic: (String) -> String?) -> Result<PeerMessage, Refusal> {
    guard JSONScanner.isObject(data), let type = JSONScanner.text(data, at: ["type"]) else {
      return .failure(Refusal(code: "not_understood", sentence: "the message is no JSON object with a type"))
    }
    if type == "signal_status" {
      guard let id = JSONScanner.text(data, at: ["id"]) else {
        return .failure(Refusal(code: "bad_request", sentence: "a signal_status needs the id of its signal"))
      }
      guard let topic = statusTopic(id) else {
        return .failure(Refusal(code: "unknown_signal", sentence: "there was no signal of this id lately"))
      }
      return .success(PeerMessage(topic: topic, key: id))
    }
    guard let portfolio, let kind = PortfolioConfig.Kind.allCases.first(where: { $0.type == type }) else {
      return .failure(Refusal(code: "not_understood", sentence: "messages of this type are for nobody here"))
    }
    return position(data, portfolio, kind)
  }

  private static func position(_ data: [UInt8], _ portfolio: PortfolioConfig, _ kind: PortfolioConfig.Kind)
    -> Result<PeerMessage, Refusal>
  {
    let path = portfolio.account.split(separator: ".").map(String.init)
    guard let account = JSONScanner.text(data, at: path), TopicName.isSegment(account) else {
      return .failure(Refusal(code: "bad_request", sentence: "the message has no \"\(portfolio.account)\" that names an account"))
    }
    var key: String?
    if let keyPath = portfolio.keyPath(kind) {
      key = JSONScanner.text(data, at: keyPath)
      if key == nil {
        return .failure(Refusal(code: "bad_request", sentence: "the message has no \"\(keyPath.joined(separator: "."))\""))
      }
    }
    return .success(PeerMessage(topic: "\(portfolio.prefix).\(account).\(kind.rawValue)", key: key))
  }
}
