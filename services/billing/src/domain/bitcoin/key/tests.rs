use std::path::Path;
use std::process::Command;

use bitcoin::Network;
use serde::Deserialize;

use super::*;

/// Addresses made by Electrum; see the file for how.
const FROZEN: &str = include_str!("../../../../tests/fixtures/electrum_addresses.json");
const ELECTRUM: &str = "/usr/bin/electrum";

#[derive(Deserialize)]
struct Frozen {
    wallets: Vec<Wallet>,
}

#[derive(Deserialize)]
struct Wallet {
    network: String,
    key: String,
    receiving: Vec<String>,
}

fn frozen() -> Vec<Wallet> {
    serde_json::from_str::<Frozen>(FROZEN).unwrap().wallets
}

fn network(name: &str) -> Network {
    match name {
        "bitcoin" => Network::Bitcoin,
        "testnet" => Network::Testnet,
        "regtest" => Network::Regtest,
        other => panic!("{other}"),
    }
}

fn ours(wallet: &Wallet) -> Vec<String> {
    let key: WatchKey = wallet.key.parse().unwrap();
    (0..u32::try_from(wallet.receiving.len()).unwrap())
        .map(|index| key.place(network(&wallet.network), index).unwrap().address)
        .collect()
}

#[test]
fn addresses_are_those_electrum_made() {
    let wallets = frozen();
    assert_eq!(wallets.iter().map(|wallet| wallet.receiving.len()).sum::<usize>(), 120);
    for wallet in wallets {
        assert_eq!(ours(&wallet), wallet.receiving, "{}", &wallet.key[..4]);
    }
}

/// Made anew by the real program where it is installed, so that the frozen file cannot drift from what wallets do.
#[test]
fn electrum_still_makes_the_same_addresses() {
    if !Path::new(ELECTRUM).exists() {
        eprintln!(
            "SKIPPED: electrum is not installed ({ELECTRUM}); `scripts/setup` installs it. Addresses were compared with the frozen file alone."
        );
        return;
    }
    let folder = std::env::temp_dir().join(format!("ottery-electrum-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (at, wallet) in frozen().iter().enumerate() {
        let call = |arguments: &[&str]| {
            let mut command = Command::new(ELECTRUM);
            if wallet.network != "bitcoin" {
                command.arg(format!("--{}", wallet.network));
            }
            let done = command.args(["--offline", "-D"]).arg(&folder).args(arguments).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).unwrap()
        };
        let file = folder.join(format!("w{at}"));
        let file = file.to_str().unwrap();
        call(&["restore", "-w", file, &wallet.key]);
        let made: Vec<String> = serde_json::from_str(&call(&["listaddresses", "-w", file, "--receiving"])).unwrap();
        assert_eq!(made, wallet.receiving, "{}", &wallet.key[..4]);
        assert_eq!(ours(wallet), made);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// BIP-84 and BIP-86, test vectors: account keys and first receiving addresses.
#[test]
fn addresses_are_those_of_the_standards() {
    let zpub = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
    let key: WatchKey = zpub.parse().unwrap();
    assert!(key.is_real());
    assert_eq!(key.place(Network::Bitcoin, 0).unwrap().address, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
    assert_eq!(key.place(Network::Bitcoin, 1).unwrap().address, "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g");
    let taproot = "tr(xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ/0/*)";
    let key: WatchKey = taproot.parse().unwrap();
    assert_eq!(
        key.place(Network::Bitcoin, 0).unwrap().address,
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
    );
}

#[test]
fn a_descriptor_is_the_same_wallet_as_its_extended_key() {
    let wallet = frozen().into_iter().find(|wallet| wallet.key.starts_with("tpub")).unwrap();
    let descriptor: WatchKey = format!("pkh([d34db33f/44h/1h/0h]{}/0/*)", wallet.key).parse().unwrap();
    for (index, address) in wallet.receiving.iter().enumerate() {
        assert_eq!(&descriptor.place(Network::Regtest, u32::try_from(index).unwrap()).unwrap().address, address);
    }
    // BIP-380: a checksum that is wrong is an entry that is wrong.
    assert_eq!(format!("pkh({}/0/*)#aaaaaaaa", wallet.key).parse::<WatchKey>(), Err(KeyRefused::Unreadable));
}

/// BIP-32 test vector 1, the same bytes under every private version, and other things that spend.
#[test]
fn what_can_spend_is_refused_and_never_repeated() {
    let xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
    let bytes = base58::decode_check(xprv).unwrap();
    let mut spending: Vec<String> = PRIVATE_VERSIONS
        .iter()
        .map(|version| base58::encode_check(&[version.as_slice(), &bytes[VERSION_BYTES..]].concat()))
        .collect();
    spending.push(format!("{}x", &xprv[..xprv.len() - 1]));
    spending.push(format!("wpkh({xprv}/0/*)"));
    spending.push(format!("wpkh([d34db33f/84h/0h/0h]{xprv}/0/*)"));
    spending.push("KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn".to_owned());
    spending.push("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ".to_owned());
    spending.push("0c28fca386c7a227600b2fe50b7cae11ec86d3bf1fbe471be89827e19d72aa1d".to_owned());
    spending.push(
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about".to_owned(),
    );
    spending.push(
        "  Zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote\n"
            .to_owned(),
    );
    for text in spending {
        let refused = text.parse::<WatchKey>().unwrap_err();
        assert_eq!(refused, KeyRefused::Private, "{}…", &text[..4]);
        assert!(!refused.to_string().contains(text.trim()) && !format!("{refused:?}").contains(text.trim()));
    }
}

#[test]
fn what_makes_no_addresses_is_refused_with_its_reason() {
    let tpub = frozen().into_iter().find(|wallet| wallet.key.starts_with("tpub")).unwrap().key;
    let xpub = frozen().into_iter().find(|wallet| wallet.key.starts_with("xpub")).unwrap().key;
    let cases = [
        (String::new(), KeyRefused::Unreadable),
        ("sk_test_12345".to_owned(), KeyRefused::Unreadable),
        ("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu".to_owned(), KeyRefused::Unreadable),
        (format!("{}1", &xpub[..xpub.len() - 1]), KeyRefused::Unreadable),
        (format!("wpkh({tpub})"), KeyRefused::NoWildcard),
        (format!("wpkh({tpub}/<0;1>/*)"), KeyRefused::Path),
        (format!("wpkh({tpub}/0h/*)"), KeyRefused::Path),
        (format!("wpkh({tpub}/0/*h)"), KeyRefused::Path),
        (format!("wsh(sortedmulti(2,{tpub}/0/*,{xpub}/0/*))"), KeyRefused::Mixed),
        (format!("pk({tpub}/0/*)"), KeyRefused::NoAddress),
        ("x".repeat(2_000), KeyRefused::Unreadable),
    ];
    for (text, refused) in cases {
        assert_eq!(text.parse::<WatchKey>(), Err(refused), "{}", text.chars().take(60).collect::<String>());
    }
}

#[test]
fn a_key_of_test_money_makes_no_address_of_real_money() {
    let wallet = frozen().into_iter().find(|wallet| wallet.key.starts_with("vpub")).unwrap();
    let key: WatchKey = wallet.key.parse().unwrap();
    assert!(!key.is_real());
    assert_eq!(key.place(Network::Bitcoin, 0), Err(KeyRefused::Mixed));
    assert_eq!(key.place(Network::Regtest, INDEX_MAX + 1), Err(KeyRefused::Path));
    assert!(!format!("{key:?}").contains("pub"));
}
