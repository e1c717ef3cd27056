"""The two languages that a customer is spoken to: English, and the Portuguese of Brazil.

A sentence is written in English where it is said; its Portuguese stands here. The language is the one that `--lang`
asks for, or the machine's own (`LC_ALL`, `LC_MESSAGES`, `LANG`), and otherwise English.
"""

import os
from contextvars import ContextVar
from typing import Annotated, Literal

import typer

Language = Literal["en", "pt"]

_PORTUGUESE = {
    # Customers.
    "Name": "Nome",
    "CPF or CNPJ": "CPF ou CNPJ",
    "Password": "Senha",
    "Password, once more": "Senha, mais uma vez",
    "New password": "Nova senha",
    "Your password at {bank} is changed.": "Sua senha no {bank} foi trocada.",
    "Code of your second factor at {bank}": "Código do seu segundo fator no {bank}",
    "The session has ended.": "A sessão foi encerrada.",
    "All your other sessions at {bank} have ended.": "Suas outras sessões no {bank} foram encerradas.",
    "Say which session: its ID, or --others.": "Diga qual sessão: o ID, ou --others.",
    "this one": "esta",
    "last used": "último uso",
    "Add this to the app on your device that makes codes:": "Acrescente isto ao aplicativo que gera códigos no seu aparelho:",
    "Then confirm it: ciranda second-factor confirm CODE": "Depois confirme: ciranda second-factor confirm CÓDIGO",
    "Your second factor at {bank} is on.": "Seu segundo fator no {bank} está ligado.",
    "Your second factor at {bank} is off.": "Seu segundo fator no {bank} está desligado.",
    "Your second factor at {bank} waits for its first code: ciranda second-factor confirm CODE": (
        "Seu segundo fator no {bank} espera o primeiro código: ciranda second-factor confirm CÓDIGO"
    ),
    "Payments need a code from {amount} in a day on.": "Pagamentos pedem código a partir de {amount} em um dia.",
    "Logging in needs a code.": "Entrar pede código.",
    "Logging in needs no code.": "Entrar não pede código.",
    "Recovery codes left: {count}.": "Códigos de recuperação restantes: {count}.",
    "Keep these recovery codes on paper. Each is good once, in place of a code:": (
        "Guarde estes códigos de recuperação em papel. Cada um vale uma vez, no lugar de um código:"
    ),
    "Welcome to {bank}, {name}. You are logged in.": "Boas-vindas ao {bank}, {name}. Sua sessão está aberta.",
    "You are logged in at {bank}.": "Sua sessão no {bank} está aberta.",
    "You are logged out of {bank}.": "Sua sessão no {bank} foi encerrada.",
    "The password file {file} cannot be read.": "Não foi possível ler o arquivo de senha {file}.",
    "Not given, and nobody to ask: {what}.": "Não informado, e não há a quem perguntar: {what}.",
    # Banks.
    "none": "nenhum",
    "Which bank? Name it with --bank: {banks}.": "Qual banco? Informe com --bank: {banks}.",
    "At which bank? Name it with --bank.": "Em qual banco? Informe com --bank.",
    "No bank is called {bank} here. Known are: {banks}.": "Nenhum banco aqui se chama {bank}. Conhecidos: {banks}.",
    "Where the bank {bank} is, is not known here: name it with --bank URL.": (
        "Não se sabe aqui onde fica o banco {bank}: informe com --bank URL."
    ),
    "You are not logged in at {bank}: ciranda login --bank {slug}": (
        "Você não abriu sessão no {bank}: ciranda login --bank {slug}"
    ),
    "{url} is not a URL.": "{url} não é uma URL.",
    "it cannot be reached": "não pode ser alcançado",
    "it shows no certificate that is trusted here": "não mostra um certificado em que se confie aqui",
    "it did not answer in time": "não respondeu a tempo",
    "the connection broke": "a conexão caiu",
    # What was mistyped.
    "an account's address is ispb.branch.number, such as 10000001.0001.1234563": (
        "o endereço de uma conta é ispb.agência.número, como 10000001.0001.1234563"
    ),
    "the check digit does not fit: one of the account's digits is mistyped": (
        "o dígito verificador não confere: há um dígito errado na conta"
    ),
    "a document is a CPF or a CNPJ, and its digits are not all the same": (
        "um documento é um CPF ou um CNPJ, e seus dígitos não são todos iguais"
    ),
    "neither a valid CPF nor a valid CNPJ": "não é um CPF nem um CNPJ válido",
    "a payment's id is E, an ISPB, 12 digits of time and 11 letters or digits": (
        "o id de um pagamento é E, um ISPB, 12 dígitos de data e hora e 11 letras ou dígitos"
    ),
    "{text} is ambiguous: write {whole} or {whole},00 for whole units": (
        "{text} é ambíguo: escreva {whole} ou {whole},00 para unidades inteiras"
    ),
    "{text} has more than two decimals, and money ends at the centavo": (
        "{text} tem mais de duas casas decimais, e o dinheiro termina no centavo"
    ),
    "{text} is not an amount, such as 10, 10,50 or 1.234,56": "{text} não é um valor, como 10, 10,50 ou 1.234,56",
    "{text} is out of bounds: from 0,01 to {most}": "{text} está fora dos limites: de 0,01 a {most}",
    # Accounts.
    "You have no account at {bank} yet: ciranda open": "Você ainda não tem conta no {bank}: ciranda open",
    "Your account at {bank}: {address}": "Sua conta no {bank}: {address}",
    "No entries yet.": "Nenhum lançamento ainda.",
    "There is more: --cursor {cursor}": "Há mais: --cursor {cursor}",
    "its bank cannot be reached now": "o banco dela não responde agora",
    "individual": "física",
    "business": "jurídica",
    "joint": "conjunta",
    "open": "aberta",
    "blocked": "bloqueada",
    "closed": "encerrada",
    # Columns.
    "account": "conta",
    "amount": "valor",
    "available": "disponível",
    "balance": "saldo",
    "bank": "banco",
    "cash": "dinheiro",
    "description": "descrição",
    "held": "reservado",
    "id": "id",
    "kind": "tipo",
    "limit": "limite",
    "no limit": "sem limite",
    "paused": "suspensa",
    "per day": "por dia",
    "per night": "por noite",
    "per payment": "por pagamento",
    "per transfer": "por transferência",
    "raised to": "sobe para",
    "spent": "gasto",
    "today": "hoje",
    "scopes": "permite",
    "status": "situação",
    "to": "para",
    "total": "total",
    "until": "até",
    "ended": "encerrada",
    "used": "usado",
    "when": "quando",
    "with": "com",
    # Payments.
    "from": "de",
    "Pay? [y/N]": "Pagar? [s/N]",
    "Paid through {bank}.": "Pago por meio do {bank}.",
    "Paid: {amount}.": "Pago: {amount}.",
    "Refused by {bank}: {reason}": "Recusado pelo {bank}: {reason}",
    "Refused: {reason}": "Recusado: {reason}",
    "All other holders of the account must approve: {id}": (
        "Todos os outros titulares da conta precisam aprovar: {id}"
    ),
    # What needs all signatures.
    "Nothing awaits your approval.": "Nada aguarda sua aprovação.",
    "Refused. It will not happen.": "Recusado. Não vai acontecer.",
    "Approved by you; others must still approve.": "Aprovado por você; ainda faltam outros titulares.",
    "Approved by all: the mandate is given.": "Aprovado por todos: a autorização está dada.",
    "asked by": "pedido por",
    "missing": "faltam",
    "what": "o quê",
    "mandate": "autorização",
    "Once they have, {bank} may use {account}, with this token:": (
        "Depois disso, o {bank} pode usar {account}, com este código:"
    ),
    "All holders of {account} must sign: ciranda mandate give, then ciranda approve.": (
        "Todos os titulares de {account} precisam assinar: ciranda mandate give, depois ciranda approve."
    ),
    "{id} is neither a payment's id nor a mandate's.": "{id} não é o id de um pagamento nem de uma autorização.",
    "Not decided yet. It will be: ciranda payments {id}": "Ainda não decidido. Será: ciranda payments {id}",
    "No payments yet.": "Nenhum pagamento ainda.",
    "Say SOURCE TARGET AMOUNT, or --from ACCOUNT=AMOUNT (once or more) and --to ACCOUNT.": (
        "Diga ORIGEM DESTINO VALOR, ou --from CONTA=VALOR (uma ou mais vezes) e --to CONTA."
    ),
    "{text}: write it as ACCOUNT=AMOUNT.": "{text}: escreva CONTA=VALOR.",
    "With --key, accounts at other banks must be linked first: ciranda link add.": (
        "Com --key, contas em outros bancos precisam antes ser vinculadas: ciranda link add."
    ),
    "payment": "pagamento",
    "deposit": "depósito",
    "withdrawal": "saque",
    "awaiting_approval": "aguarda aprovação",
    "pending": "em andamento",
    "settled": "liquidado",
    "refused": "recusado",
    # The teller.
    "Deposited: {amount}.": "Depositado: {amount}.",
    "Paid out: {amount}.": "Sacado: {amount}.",
    "A second operator must approve it: {id}": "Um segundo operador precisa aprovar: {id}",
    "This is the operator's: give --operator-token-file, or --consortium with the bank's folder in it.": (
        "Isto cabe ao operador: informe --operator-token-file, ou --consortium com a pasta do banco."
    ),
    # Mandates and links.
    "{bank} may now use {account}, with this token:": "O {bank} agora pode usar {account}, com este código:",
    "No mandates at {bank}.": "Nenhuma autorização no {bank}.",
    "The mandate has ended.": "A autorização foi encerrada.",
    "The mandate is paused.": "A autorização está suspensa.",
    "The mandate works again.": "A autorização voltou a valer.",
    "It was never used.": "Ela nunca foi usada.",
    # Limits.
    "This bank keeps no limits.": "Este banco não usa limites.",
    "Say which limit: --per-transfer, --per-day or --per-night.": (
        "Diga qual limite: --per-transfer, --per-day ou --per-night."
    ),
    "{text} is not a time, such as 30m, 12h or 90d.": "{text} não é um prazo, como 30m, 12h ou 90d.",
    "pay": "pagar",
    "read": "ver",
    "{account} is now linked at {bank}.": "{account} agora está vinculada no {bank}.",
    "{account} is no longer linked at {bank}.": "{account} não está mais vinculada no {bank}.",
    "No links at {bank}.": "Nenhuma conta vinculada no {bank}.",
    # What a bank answers when it will not, by code.
    "bad_request": "O banco não entendeu o pedido.",
    "unauthenticated": "Sua sessão terminou: ciranda login.",
    "wrong_credentials": "Documento ou senha errados.",
    "second_factor_required": "Isto pede um código novo do seu segundo fator: --code.",
    "second_factor_exists": "Seu segundo fator já está ligado.",
    "forbidden": "Isto cabe ao operador do banco.",
    "already_decided": "Todos os titulares já aprovaram: não é mais possível recusar.",
    "not_found": "Não existe, ou não é seu.",
    "document_taken": "Este documento já tem cadastro neste banco.",
    "over_cash_limit": "É mais dinheiro do que você pode receber ou pagar de uma vez.",
    "second_operator_required": "A proposta é sua: outra pessoa precisa aprovar.",
    "operator_exists": "Já há, ou houve, um operador com este nome.",
    "proposal_closed": "Esta proposta já foi decidida ou venceu.",
    "account_exists": "Você já tem uma conta física neste banco.",
    "invalid_document": "Este CPF ou CNPJ não é válido.",
    "weak_password": "A senha é fraca.",
    "invalid_holders": "Os titulares não podem ter esta conta.",
    "limits_off": "Este banco não usa limites.",
    "idempotency_mismatch": "Esta chave já serviu para outro pedido.",
    "too_many_attempts": "Tentativas demais: espere um pouco.",
    "overloaded": "O banco está sobrecarregado: tente de novo.",
    "unavailable": "O banco não pode atender agora: tente de novo.",
    "zero_amount": "O valor deve ser de pelo menos um centavo.",
    "same_account": "A conta de origem e a de destino são a mesma.",
    "unknown_bank": "Nenhum banco do consórcio tem este ISPB.",
    "not_permitted": "Você não tem permissão para debitar esta conta.",
    "unknown_account": "A conta não existe.",
    "blocked_account": "A conta está bloqueada.",
    "closed_account": "A conta está encerrada.",
    "wrong_account_kind": "Uma conta deste tipo não pode fazer isto.",
    "mandate_exceeded": "A autorização não cobre este valor.",
    "limit_exceeded": "O limite do titular não cobre este valor.",
    "insufficient_funds": "A conta não tem saldo disponível suficiente.",
    "balance_exceeded": "O saldo da conta passaria do máximo.",
    "peer_limit_exceeded": "O limite de crédito entre os dois bancos foi atingido.",
    "bank_unreachable": "Um banco deste pagamento não responde agora.",
    "deadline_passed": "Um banco deste pagamento não respondeu a tempo.",
    "aborted": "O pagamento foi desfeito.",
}

YES = ("y", "yes", "s", "sim")

_language: ContextVar[Language] = ContextVar("language", default="en")


def say(sentence: str, **parts: object) -> str:
    """The sentence in the person's language, with its `{parts}` filled in; in English if it has no Portuguese."""
    template = _PORTUGUESE.get(sentence, sentence) if _language.get() == "pt" else sentence
    return template.format(**parts) if parts else template


def reason(code: str, detail: str) -> str:
    """Why a bank will not: in English the bank's own words."""
    if _language.get() == "en":
        return detail or code.replace("_", " ")
    return _PORTUGUESE.get(code, detail)


def choose(language: str | None) -> Language:
    """Speaks `language` from here on, or that of the machine if there is none."""
    asked = language or next(
        (value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), ""
    )
    chosen: Language = "pt" if asked.lower().startswith("pt") else "en"
    _language.set(chosen)
    return chosen


def _choose(language: str | None) -> str:
    if language is not None and language.lower()[:2] not in ("en", "pt"):
        raise typer.BadParameter("en or pt")
    return choose(language)


LangOption = Annotated[
    str | None,
    typer.Option(
        "--lang",
        metavar="en|pt",
        help="The language to speak. Default: that of LANG, or English.",
        show_default=False,
        callback=_choose,
        is_eager=True,
    ),
]
