// SPDX-License-Identifier: Apache-2.0
/// The exceptions. Each is an Error with the status code of pulsews.h and a sentence; catch the subclass that you can do
/// something about.
#ifndef PULSEWS_ERROR_HPP
#define PULSEWS_ERROR_HPP

#include <stdexcept>
#include <string>

#include "contract.hpp"

namespace pulsews {

/// A call that has failed. what() is the sentence.
class Error : public std::runtime_error {
  public:
    Error(std::int32_t code, const std::string &sentence) : std::runtime_error(sentence), code_(code) {}

    [[nodiscard]] Code code() const noexcept { return static_cast<Code>(code_); }
    /// "PULSEWS_ETIMEOUT".
    [[nodiscard]] const char *name() const noexcept { return pulsews_error_name(code_); }
    /// Whether trying again can help; of a refused handshake Client::retryable() knows more.
    [[nodiscard]] bool retryable() const noexcept { return pulsews_error_retryable(code_) == 1; }

  private:
    std::int32_t code_;
};

/// The call was wrong, and nothing was done.
class InvalidArgument : public Error {
    using Error::Error;
};
/// The time of the call is over; the client or hub lives on.
class Timeout : public Error {
    using Error::Error;
};
/// There is no open connection to send on.
class NotConnected : public Error {
    using Error::Error;
};
/// The client or the connection is closed, by this side, by the peer, or because the peer broke the protocol.
class Closed : public Error {
    using Error::Error;
};
/// The outbox of the client, or the budget of the hub, is full.
class QueueFull : public Error {
    using Error::Error;
};
/// The rate limits left no room in time.
class RateLimited : public Error {
    using Error::Error;
};
/// The close came before accepted messages were sent.
class MessagesUnsent : public Error {
    using Error::Error;
};
/// The network or TLS failed.
class ConnectError : public Error {
    using Error::Error;
};
/// The connection was not open within open_timeout.
class OpenTimeout : public ConnectError {
    using ConnectError::ConnectError;
};
/// The server rejected the handshake; Client::handshake_status() and its neighbours have the answer.
class HandshakeError : public ConnectError {
    using ConnectError::ConnectError;
};
/// The server rejected the login, or did not confirm it in time.
class LoginError : public HandshakeError {
    using HandshakeError::HandshakeError;
};
/// The server rejected a subscription, or did not confirm it in time.
class SubscribeError : public HandshakeError {
    using HandshakeError::HandshakeError;
};

namespace detail {

[[noreturn]] inline void fail(std::int32_t code, const char *text) {
    const std::string sentence = *text != '\0' ? text : pulsews_error_text(code);
    switch (code) {
    // generated: exceptions (tools/generate.py)
    case PULSEWS_EINVAL:
    case PULSEWS_EOPTION:
    case PULSEWS_EVALUE:
    case PULSEWS_EURL:
    case PULSEWS_EUTF8: throw InvalidArgument(code, sentence);
    case PULSEWS_ETIMEOUT: throw Timeout(code, sentence);
    case PULSEWS_ENOTCONNECTED: throw NotConnected(code, sentence);
    case PULSEWS_ECLOSED:
    case PULSEWS_EPEERCLOSED:
    case PULSEWS_EMOVED:
    case PULSEWS_EPROTOCOL:
    case PULSEWS_EPAYLOAD:
    case PULSEWS_EDEFLATE: throw Closed(code, sentence);
    case PULSEWS_EQUEUEFULL: throw QueueFull(code, sentence);
    case PULSEWS_ERATE: throw RateLimited(code, sentence);
    case PULSEWS_EUNSENT: throw MessagesUnsent(code, sentence);
    case PULSEWS_ERESOLVE:
    case PULSEWS_EREFUSED:
    case PULSEWS_EUNREACHABLE:
    case PULSEWS_ERESET:
    case PULSEWS_EEOF:
    case PULSEWS_EDEAD:
    case PULSEWS_EIO:
    case PULSEWS_ESTALE:
    case PULSEWS_EPROXY:
    case PULSEWS_EPROXYAUTH:
    case PULSEWS_ESLOW:
    case PULSEWS_ETLS:
    case PULSEWS_ECERTIFICATE:
    case PULSEWS_EHOSTNAME:
    case PULSEWS_ETRUST:
    case PULSEWS_EEXPIRED:
    case PULSEWS_ENOTYETVALID:
    case PULSEWS_EUNKNOWNCA:
    case PULSEWS_EPURPOSE:
    case PULSEWS_EPIN:
    case PULSEWS_ETLSVERSION:
    case PULSEWS_ETRUNCATED:
    case PULSEWS_ECLIENTCERT: throw ConnectError(code, sentence);
    case PULSEWS_EOPENTIMEOUT: throw OpenTimeout(code, sentence);
    case PULSEWS_EHANDSHAKE:
    case PULSEWS_EUPGRADE:
    case PULSEWS_EHEADERS:
    case PULSEWS_EREDIRECT: throw HandshakeError(code, sentence);
    case PULSEWS_ELOGIN: throw LoginError(code, sentence);
    case PULSEWS_ESUBSCRIBE: throw SubscribeError(code, sentence);
    // end of exceptions
    default: throw Error(code, sentence);
    }
}

/// Of a status or count: itself, unless it is a failure.
template <class Number> Number check(Number result, const char *text = "") {
    if (result < 0) {
        fail(static_cast<std::int32_t>(result), text);
    }
    return result;
}

/// As check, but a time-out is no failure: it is false.
inline bool in_time(std::int32_t result) { return result != PULSEWS_ETIMEOUT && check(result) >= 0; }

/// Room for the sentence of a call.
struct Sentence {
    char text[PULSEWS_ERROR_SIZE] = "";
    static constexpr std::size_t size = PULSEWS_ERROR_SIZE;
};

} // namespace detail
} // namespace pulsews
#endif
