// SPDX-License-Identifier: Apache-2.0

/// A request to a webhook.
struct WebhookCall {
  let method: String
  /// Path and query.
  let target: String
  /// Of the client, as the hub knows it.
  let address: String
  let body: [UInt8]
}

/// What becomes of a call.
enum WebhookVerdict: Equatable {
  case refuse(status: Int32, code: String, sentence: String)
  /// It was taken already.
  case duplicate
  /// `data`: one JSON value, without the secret.
  case publish(topic: String, data: [UInt8], mark: Dedupe.Mark?)
}

/// Whether both are the same, in a time that does not tell where they differ.
func isSameSecret(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
  let (one, two) = (Array(left), Array(right))
  var difference: UInt8 = one.count == two.count ? 0 : 1
  for index in 0..<two.count { difference |= two[index] ^ (one.isEmpty ? 0xFF : one[index % one.count]) }
  return difference == 0
}

extension WebhookConfig {
  func judge(_ call: WebhookCall, _ taken: Dedupe, now: Int64) -> WebhookVerdict {
    func refuse(_ status: Int32, _ code: String, _ sentence: String) -> WebhookVerdict {
      .refuse(status: status, code: code, sentence: sentence)
    }
    if !allow.isEmpty, !allow.contains(call.address) {
      return refuse(403, "address_forbidden", "this address may not call here")
    }
    let path = call.target.prefix { $0 != "?" }
    if let secret, secretPlace == .path {
      let shown = path.dropFirst(route.count)
      if !isSameSecret(shown.utf8, secret.utf8) { return refuse(401, "bad_secret", "the secret is not the right one") }
    }
    if call.method != "POST" { return refuse(405, "method_not_allowed", "a webhook takes POST") }
    if call.body.count > maxBody { return refuse(413, "body_too_large", "the body is larger than \(maxBody) bytes") }
    guard let text = String(validating: call.body, as: UTF8.self), !call.body.isEmpty else {
      return refuse(400, "bad_body", "the body is no text")
    }
    let isJSON = accepts != .text && JSONScanner.isValue(call.body)
    if accepts == .json, !isJSON { return refuse(400, "bad_body", "the body is not JSON") }
    var data = isJSON ? call.body : Array(jsonString(text).utf8)
    if let secret, case .body(let member) = secretPlace {
      guard isJSON, let (shown, rest) = JSONScanner.extract(member, from: call.body), isSameSecret(shown.utf8, secret.utf8) else {
        return refuse(401, "bad_secret", "the body has no \"\(member)\" that is the right secret")
      }
      data = rest
    }
    switch topic.fill(data) {
    case .failure(let problem): return refuse(400, "bad_body", problem.text)
    case .success(let name): return look(name, data, taken, now)
    }
  }

  /// Whether it is there for the first time.
  private func look(_ name: String, _ data: [UInt8], _ taken: Dedupe, _ now: Int64) -> WebhookVerdict {
    if window == 0 { return .publish(topic: name, data: data, mark: nil) }
    let mark: Dedupe.Mark
    if idPath.isEmpty {
      mark = Dedupe.Mark(data)
    } else {
      guard let id = JSONScanner.text(data, at: idPath) else {
        return .refuse(status: 400, code: "bad_body", sentence: "the message has no \"\(idPath.joined(separator: "."))\"")
      }
      mark = Dedupe.Mark(Array(id.utf8))
    }
    return taken.contains(mark, now: now) ? .duplicate : .publish(topic: name, data: data, mark: mark)
  }
}
