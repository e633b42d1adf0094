//! How two peers make sure that they belong to the same job before a byte of it is exchanged.
//!
//! ```text
//!  client                                server
//!    magic, nonce c          ──────►
//!                            ◄──────     magic, nonce s, proof("server", c, s)
//!    proof("client", c, s)   ──────►
//! ```
//!
//! A proof is BLAKE3 keyed with the job's secret, over the role and both nonces; the secret itself never travels. This
//! keeps strangers and other jobs out. It does not encrypt what follows: run it on a network that you trust, or in a
//! tunnel.

use crate::error::{Error, Result};

/// First bytes of each connection: the protocol and its version.
const MAGIC: [u8; 8] = *b"TIDEGAT1";
const NONCE_LEN: usize = 16;

/// Length of the client's first message.
pub const HELLO_LEN: usize = MAGIC.len() + NONCE_LEN;
/// Length of the server's answer.
pub const REPLY_LEN: usize = HELLO_LEN + PROOF_LEN;
/// Length of a proof, which is also the client's second message.
pub const PROOF_LEN: usize = 32;

/// What all processes of a job share and nobody else knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Both nonces of a connection under way, and the secret to prove.
pub struct Challenge<'a> {
    secret: &'a Secret,
    client: [u8; NONCE_LEN],
    server: [u8; NONCE_LEN],
}

/// A nonce of two random words.
fn nonce(words: [u64; 2]) -> [u8; NONCE_LEN] {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&words[0].to_le_bytes());
    bytes[8..].copy_from_slice(&words[1].to_le_bytes());
    bytes
}

fn after_magic(bytes: &[u8]) -> Result<&[u8]> {
    bytes.strip_prefix(&MAGIC).ok_or_else(|| {
        Error::bad_input(
            "the peer does not speak this version of the Tidegate protocol: use the same build on all nodes",
        )
    })
}

impl<'a> Challenge<'a> {
    /// The client's first message, from two random words.
    #[must_use]
    pub fn hello(random: [u64; 2]) -> [u8; HELLO_LEN] {
        let mut hello = [0; HELLO_LEN];
        hello[..MAGIC.len()].copy_from_slice(&MAGIC);
        hello[MAGIC.len()..].copy_from_slice(&nonce(random));
        hello
    }

    /// On the server: the challenge of a client's hello, and the answer to it.
    ///
    /// # Errors
    /// `BadInput` if the client speaks another protocol.
    pub fn answer(secret: &'a Secret, hello: &[u8; HELLO_LEN], random: [u64; 2]) -> Result<(Self, [u8; REPLY_LEN])> {
        let client = after_magic(hello)?.try_into().expect("the length is fixed");
        let challenge = Self { secret, client, server: nonce(random) };
        let mut reply = [0; REPLY_LEN];
        reply[..MAGIC.len()].copy_from_slice(&MAGIC);
        reply[MAGIC.len()..HELLO_LEN].copy_from_slice(&challenge.server);
        reply[HELLO_LEN..].copy_from_slice(challenge.proof("server").as_bytes());
        Ok((challenge, reply))
    }

    /// On the client: checks the server's answer to `hello` and gives the proof to send.
    ///
    /// # Errors
    /// `BadInput` if the server does not know the secret.
    pub fn respond(secret: &'a Secret, hello: &[u8; HELLO_LEN], reply: &[u8; REPLY_LEN]) -> Result<[u8; PROOF_LEN]> {
        let client = after_magic(hello)?.try_into().expect("the length is fixed");
        let (server, proof) = after_magic(reply)?.split_at(NONCE_LEN);
        let challenge = Self { secret, client, server: server.try_into().expect("the length is fixed") };
        challenge.verify("server", proof)?;
        Ok(*challenge.proof("client").as_bytes())
    }

    /// On the server: checks the client's proof.
    ///
    /// # Errors
    /// `BadInput` if the client does not know the secret.
    pub fn admit(&self, proof: &[u8; PROOF_LEN]) -> Result<()> {
        self.verify("client", proof)
    }

    fn proof(&self, role: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret.0);
        hasher.update(role.as_bytes()).update(&self.client).update(&self.server);
        hasher.finalize()
    }

    fn verify(&self, role: &str, proof: &[u8]) -> Result<()> {
        let given: [u8; PROOF_LEN] = proof.try_into().expect("the length is fixed");
        // blake3::Hash compares in constant time.
        if self.proof(role) == blake3::Hash::from(given) {
            return Ok(());
        }
        Err(Error::bad_input("the peer does not know the job's secret: it belongs to another job, or is a stranger"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shake(client: &Secret, server: &Secret) -> Result<()> {
        let hello = Challenge::hello([1, 2]);
        let (challenge, reply) = Challenge::answer(server, &hello, [3, 4])?;
        let proof = Challenge::respond(client, &hello, &reply)?;
        challenge.admit(&proof)
    }

    #[test]
    fn only_those_who_know_the_secret_are_admitted() {
        let (ours, theirs) = (Secret([1; 32]), Secret([2; 32]));
        assert!(shake(&ours, &ours).is_ok());
        assert!(shake(&theirs, &ours).is_err());
        assert!(shake(&ours, &theirs).is_err());
    }

    #[test]
    fn a_client_that_only_echoes_is_not_admitted() {
        let secret = Secret([1; 32]);
        let (challenge, reply) = Challenge::answer(&secret, &Challenge::hello([1, 2]), [3, 4]).unwrap();
        let echoed: [u8; PROOF_LEN] = reply[HELLO_LEN..].try_into().unwrap();
        assert!(challenge.admit(&echoed).is_err());
    }
}
